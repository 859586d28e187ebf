"""Currency against Python's decimal, exactly."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Context, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.enrich import currency
from ecompulse.kernels.enrich.currency import AMOUNTS, CurrencyStep, check_rates
from support.examples import examples

START = dt.date(2024, 1, 1)
WIDE = Context(prec=60)
LIMIT = Decimal(10) ** 14
money = st.none() | st.decimals(-10_000, 10_000, places=4) | st.decimals(-LIMIT + 1, LIMIT - 1, places=4)
rate = st.decimals("0.0000000001", "10000", places=10) | st.sampled_from(
    [Decimal("0.5"), Decimal("0.00005"), Decimal(1)]
)
tables = st.dictionaries(st.tuples(st.integers(0, 6), st.sampled_from(["EUR", "GBP"])), rate, max_size=8)
rows = st.fixed_dictionaries(
    {
        "event_time": st.datetimes(dt.datetime(2023, 12, 30), dt.datetime(2024, 1, 9), timezones=st.just(dt.UTC)).map(  # noqa: DTZ001
            lambda t: t.replace(microsecond=0)
        ),
        "currency": st.sampled_from([None, "EUR", "GBP", "USD", "XXX"]),
        **dict.fromkeys(AMOUNTS, money),
    }
)


def table(entries: dict[tuple[int, str], Decimal]) -> pl.DataFrame:
    data = [(str(START + dt.timedelta(day)), code, str(value)) for (day, code), value in entries.items()]
    return check_rates(
        pl.DataFrame(data, schema=dict.fromkeys(("date", "currency", "rate"), pl.String), orient="row"), "USD"
    )


def oracle(row, entries, max_age_days):
    dates = [START + dt.timedelta(day) for day, code in entries if code == row["currency"]]
    before = [d for d in dates if d <= row["event_time"].date()]
    base = row["currency"] == "USD"
    found = entries[(max(before) - START).days, row["currency"]] if before else None
    values, overflow = [], False
    for name in AMOUNTS:
        amount = row[name]
        if amount is None or (found is None and not base):
            values.append(None)
            continue
        value = amount if base else WIDE.multiply(amount, found).quantize(Decimal("0.0001"), ROUND_HALF_EVEN, WIDE)
        overflow |= abs(value) >= LIMIT
        values.append(value if abs(value) < LIMIT else None)
    stale = before and (row["event_time"].date() - max(before)).days > max_age_days
    reasons = [
        (all(row[name] is None for name in AMOUNTS), "no_amount"),
        (row["currency"] is None, "no_currency"), (base, "ok"),
        (found is None, "no_rate"), (overflow, "overflow"), (stale, "stale"), (True, "ok"),
    ]  # fmt: skip
    return (*values, next(status for holds, status in reasons if holds))


@examples(150)
@given(st.lists(rows, max_size=8), tables)
def test_conversion_equals_exact_decimals(events, data, entries):
    step = CurrencyStep(max_age=2 * 86_400_000)
    found = step.apply(events(data), {"rates": table(entries)})
    assert found.select(*currency.COLUMNS, "currency_status").rows() == [oracle(row, entries, 2) for row in data]


def test_ties_go_to_the_even_neighbour(events):
    data = [{"event_time": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "currency": "EUR", "price": Decimal(p)} for p in
            ("0.0001", "0.0003", "-0.0001", "-0.0003")]  # fmt: skip
    found = CurrencyStep().apply(events(data), {"rates": table({(0, "EUR"): Decimal("0.5")})})
    assert found["price_base"].to_list() == [
        Decimal("0.0000"),
        Decimal("0.0002"),
        Decimal("0.0000"),
        Decimal("-0.0002"),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"date": ["2024-01-01"], "rate": ["1"]}, "has no column currency"),
        ({"date": ["1.1.24"], "currency": ["EUR"], "rate": ["1"]}, "has a date that is not YYYY-MM-DD"),
        ({"date": ["2024-01-011"], "currency": ["EUR"], "rate": ["1"]}, "has a date that is not YYYY-MM-DD"),
        ({"date": ["2024-01-01"], "currency": ["usd"], "rate": ["1.1"]}, "base currency itself"),
        ({"date": ["2024-01-01"] * 2, "currency": ["EUR", "eur"], "rate": ["1", "1"]}, "EUR on 2024-01-01 twice"),
        ({"date": ["2024-01-01"], "currency": ["EUR"], "rate": ["x"]}, "or a rate that is no number"),
        ({"date": ["2024-01-01"], "currency": ["EUR"], "rate": ["0"]}, "outside 0 to 10"),
        ({"date": ["2024-01-01"], "currency": ["USD"], "rate": ["1.1"]}, "base currency itself"),
        ({"date": ["2024-01-01"] * 2, "currency": ["EUR"] * 2, "rate": ["1", "2"]}, "EUR on 2024-01-01 twice"),
    ],
)
def test_a_wrong_table_is_one_line(columns, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_rates(pl.DataFrame(columns), "USD")
    assert "\n" not in str(caught.value)


def test_a_code_is_read_as_that_of_an_event_and_of_a_time_its_day():
    columns = {"date": ["2024-01-01T23:30:00", "2024-01-02"], "currency": [" eur", "USDT"], "rate": ["1.1", "0.9"]}
    table = check_rates(pl.DataFrame(columns), "USD")
    assert table.select(pl.col("date").cast(pl.String), "currency").rows() == [
        ("2024-01-01", "EUR"),
        ("2024-01-02", "USDT"),
    ]
