"""Values as others write them: numbers, times, words; a column and a single cell are read alike."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.kernels.decode import decode, decode_csv
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.foreign.dialect import header_of, marked
from ecompulse.kernels.mapping import parse_mapping

NOW = 1_750_000_000_000
COLUMNS = ("event_id", "event_type", "event_time", "user_id", "price", "quantity", "currency", "payment_status")


def decoded(mapping, **cells: object):
    """One row twice: alone, and among enough others that it is read in columns."""
    usual = {"event_id": "e", "event_type": "purchase", "event_time": "2024-05-01T10:00:00Z", "user_id": "u"}
    row = "\x1f".join(str({**usual, **cells}.get(name, "")) for name in COLUMNS)
    header = marked(header_of(COLUMNS, "\x1f", None), "\x1f", None)

    def rows(count):
        place = {"source": "t", "source_partition": 0, "source_offset": range(count)}
        return pl.DataFrame({"raw": [row.encode()] * count, **place}, schema=RAW_SCHEMA)

    one, many = (decode_csv(rows(count), header, NOW, parse_mapping(mapping)) for count in (1, 60))
    assert many.events.drop("source_offset").unique().height + many.dead["message"].n_unique() == 1
    assert (one.events.height, one.dead.height) == (many.events.height // 60, many.dead.height // 60)
    return one.events.to_dicts()[0] if one.events.height else one.dead["message"][0]


GERMAN = "numbers: {decimal: ',', thousands: '.'}"


@pytest.mark.parametrize(
    ("mapping", "text", "amount"),
    [
        (GERMAN, "1.234,50", "1234.5"),
        (GERMAN, "1.234.567,5", "1234567.5"),
        (GERMAN, "12,50 €", "12.5"),
        (GERMAN, "€12,50", "12.5"),
        (GERMAN, "EUR 1.234", "1234"),
        (GERMAN, "-€5,00", "-5"),
        (GERMAN, "12,50\u00a0EUR", "12.5"),
        (GERMAN, "1.5", None),
        (GERMAN, "1.23,4", None),
        (GERMAN, "1,234.50", None),
        ("numbers: {thousands: ','}", "$1,234.50", "1234.5"),
        ("numbers: {thousands: ','}", "1,23", None),
        ("numbers: {decimal: ',', thousands: ' '}", "1 234 567,89", "1234567.89"),
        ("numbers: {decimal: ',', thousands: ' '}", "1\u202f234,5 kr", "1234.5"),
        ('numbers: {thousands: "\'"}', "CHF 1'234.50", "1234.5"),
        ("numbers: {}", "£7.25", "7.25"),
        ("numbers: {}", "twelve", None),
        ("numbers: {}", "12 pln", "12"),
        ("numbers: {}", "12 mio", None),
        ("numbers: {}", "$ 12bn", None),
        ("numbers: {}", "1 Mrd €", None),
        ("fields: {price: {from: price, numbers: {decimal: ','}}}", "2,75", "2.75"),
        ("minor_digits: {price: currency}", "1250", "12.5"),
        ("numbers: {decimal: ','}\nminor_digits: {price: 2}", "1250", "12.5"),
    ],
)
def test_numbers_as_people_write_them(mapping, text, amount):
    found = decoded(mapping, price=text)
    if amount is None:
        assert f'"{text}" is not a number' in found
    else:
        assert found["price"] == Decimal(amount)


def in_rows(mapping, price, currency, rows):
    event = {"event_id": "e", "event_type": "purchase", "event_time": 1_714_557_600_000, "user_id": "u"}
    row = json.dumps({**event, "price": price, "currency": currency}).encode()
    place = {"source": "t", "source_partition": 0, "source_offset": list(range(rows))}
    return decode(pl.DataFrame({"raw": [row] * rows, **place}, schema=RAW_SCHEMA), NOW, parse_mapping(mapping))


@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize(
    ("price", "currency", "amount"),
    [
        (1250, "JPY", "1250"),
        (1250, "eur", "12.5"),
        (1250, "KWD", "1.25"),
        (1250, "CLF", "0.125"),
        (1250, "", "1250"),
        (1250, None, "1250"),
        ("0.1234", "JPY", "0.1234"),
        (99_999_999_999_999, "JPY", "99999999999999"),
    ],
)
def test_minor_units_of_a_currency(price, currency, amount, rows):
    found = in_rows("minor_digits: {price: currency}\ndefault_currency: JPY", price, currency, rows)
    assert found.events["price"].unique().to_list() == [Decimal(amount)]


@pytest.mark.parametrize("rows", [1, 60])
def test_an_amount_that_its_currency_makes_too_large_is_a_dead_letter(rows):
    found = in_rows("minor_digits: {price: currency}", 999_999_999_999_999, "JPY", rows)
    assert found.dead["message"].to_list() == ["price: 999999999999999 does not fit decimal(18,4)"] * rows
    assert in_rows("minor_digits: {price: currency}", 999_999_999_999_999, "EUR", rows).events.height == rows


@pytest.mark.parametrize("rows", [1, 60])
def test_a_constant_that_its_currency_makes_too_large_is_a_dead_letter(rows):
    mapping = "minor_digits: {amount: currency}\nconstants: {amount: '999999999999999'}"
    assert in_rows(mapping, 1, "JPY", rows).dead["rule"].to_list() == ["out_of_range"] * rows


@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize(("currency", "amount"), [("ISK", "12.5"), ("MGA", "1250"), ("JPY", "1250"), ("EUR", "12.5")])
def test_a_source_may_count_otherwise_than_iso_4217(currency, amount, rows):
    mapping = "minor_digits: {price: currency}\ncurrency_digits: {ISK: 2, MGA: 0}"
    assert in_rows(mapping, 1250, currency, rows).events["price"][0] == Decimal(amount)


SEVERAL = 'time: {format: ["%d.%m.%Y %H:%M", iso, number, "%m/%d/%Y"], zone: Europe/Paris, unit: auto}'


@pytest.mark.parametrize(
    ("mapping", "text", "wanted"),
    [
        (SEVERAL, "01.05.2024 12:00", "2024-05-01T10:00"),
        (SEVERAL, "2024-05-01T10:00:00Z", "2024-05-01T10:00"),
        (SEVERAL, "2024-05-01 12:00", "2024-05-01T10:00"),
        (SEVERAL, "1714557600", "2024-05-01T10:00"),
        (SEVERAL, "1714557600.5", "2024-05-01T10:00:00.500"),
        (SEVERAL, "1714557600000", "2024-05-01T10:00"),
        (SEVERAL, "1714557600000000", "2024-05-01T10:00"),
        (SEVERAL, "1714557600000000000", "2024-05-01T10:00"),
        (SEVERAL, "soon", None),
        ("time: {unit: auto}", "1714557600", "2024-05-01T10:00"),
        ("time: {unit: auto}", "1714557600123", "2024-05-01T10:00:00.123"),
        ("time: {format: '%d/%m/%Y %H:%M', zone: Europe/Paris}", "27/10/2024 02:30", "2024-10-27T00:30"),
        (
            "time: {format: '%d/%m/%Y %H:%M', zone: Europe/Paris, ambiguous: latest}",
            "27/10/2024 02:30",
            "2024-10-27T01:30",
        ),
        ("time: {format: '%d/%m/%Y %H:%M', zone: Europe/Paris, ambiguous: refuse}", "27/10/2024 02:30", None),
        ("time: {format: '%d/%m/%Y %H:%M', zone: Europe/Paris}", "31/03/2024 02:30", None),
        ("time: {zone: Europe/Paris}", "2024-10-27 02:30:00", "2024-10-27T00:30"),
        ("time: {zone: Europe/Paris, ambiguous: latest}", "2024-10-27 02:30:00", "2024-10-27T01:30"),
        ("time: {zone: Europe/Paris, ambiguous: refuse}", "2024-10-27 02:30:00", None),
        ("time: {zone: Europe/Paris}", "2024-03-31 02:30:00", None),
    ],
)
def test_times_of_several_formats_units_and_of_hours_that_clocks_show_twice_or_never(mapping, text, wanted):
    found = decoded(mapping, event_time=text)
    if wanted is None:
        assert found.startswith(f'event_time: "{text}"')
    else:
        assert found["event_time"] == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "text", "wanted"),
    [
        ("{from: payment_status, map: {paid: captured}}", "paid", "captured"),
        ("{from: payment_status, map: {paid: captured}}", "open", "open"),
        ("{from: payment_status, map: {paid: captured}, unmapped: 'null'}", "open", None),
        ("{from: payment_status, map: {paid: captured}, unmapped: null}", "open", None),
        ("{from: payment_status, map: {true: captured, false: failed}}", "true", "captured"),
        ("{from: payment_status, map: {open: null}}", "open", None),
        ("{from: payment_status, map: {open: null}, default: failed}", "open", "failed"),
        ("{from: payment_status, default: failed}", "", "failed"),
        ("{from: payment_status, match: '^x-([a-z]+)'}", "x-paid-1", "paid"),
        ("{from: payment_status, match: '[0-9]+'}", "x-12", "12"),
        ("{from: payment_status, match: '[0-9]+'}", "none", None),
        ("{from: payment_status, match: '^x-([a-z]+)', map: {paid: captured}}", "x-paid", "captured"),
        ("{from: [payment_status, currency], join: '/'}", "a", "a/EUR"),
        ("[currency, payment_status]", "a", "EUR"),
    ],
)
def test_words_patterns_and_joins(source, text, wanted):
    found = decoded(f"fields: {{payment_status: {source}}}", payment_status=text, currency="EUR")
    assert found["payment_status"] == wanted


def test_a_value_that_must_be_mapped_is_a_dead_letter():
    said = decoded(
        "fields: {payment_status: {from: payment_status, map: {a: b}, unmapped: refuse}}", payment_status="c"
    )
    assert said == 'payment_status: "c" is none of the values that are mapped'


def test_null_without_quotes_is_the_word():
    assert decoded("format: {nulls: [NULL]}", payment_status="NULL", currency="null")["payment_status"] is None


def test_null_words_hold_nothing():
    found = decoded(r"format: {nulls: ['(not set)', '\N']}", payment_status="(not set)", currency=r"\N", quantity=2)
    assert (found["payment_status"], found["currency"], found["quantity"]) == (None, None, 2)


def test_a_pattern_costs_time_in_proportion_to_the_text():
    """One that takes an engine with backtracking longer than the universe has."""
    found = decoded(
        "fields: {payment_status: {from: payment_status, match: '^(a+)+$'}}", payment_status="a" * 5000 + "b"
    )
    assert found["payment_status"] is None


@pytest.mark.parametrize(
    ("text", "status"), [("s=paid", "captured"), ("s=open", ...), ("other", None), ("(none)", None), ("", None)]
)
def test_what_matches_and_is_not_mapped_is_refused(text, status):
    how = "{from: payment_status, match: 's=(.+)', map: {paid: captured}, unmapped: refuse}"
    found = decoded(f"format: {{nulls: [(none)]}}\nfields: {{payment_status: {how}}}", payment_status=text)
    said = found if isinstance(found, str) else found["payment_status"]
    assert said == (f'payment_status: "{text}" is none of the values that are mapped' if status is ... else status)


@pytest.mark.parametrize("rows", [1, 60])
def test_a_word_for_nothing_is_not_refused(rows):
    how = "{from: currency, map: {euro: EUR}, unmapped: refuse}"
    mapping = f"format: {{nulls: [(none)]}}\nfields: {{currency: {how}}}"
    assert in_rows(mapping, 1, "(none)", rows).events["currency"].to_list() == [None] * rows
