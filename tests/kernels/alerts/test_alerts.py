"""Alert rules against a plain walk over the windows."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.alerts.kernel import RaiseAlerts
from ecompulse.kernels.alerts.matching import read_metrics, tick
from ecompulse.kernels.alerts.rules import parse_rules, standard_rules
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.metrics.definition import parse_metrics, standard_metrics
from ecompulse.kernels.metrics.schemas import METRIC_SCHEMA
from ecompulse.kernels.step import Clock
from support.examples import examples
from support.metric_runs import Shards, ms

MINUTE = 60_000
BASE = 1_700_000_040_000  # a whole minute
METRICS = parse_metrics("""
metrics:
  m: {measure: count, windows: [tumbling 1m, sliding 10m/1m], dimensions: {country: brand}}
  h: {measure: count, windows: [tumbling 1h]}
  q: {measure: {quantiles: price}, windows: [tumbling 1m]}
  t: {measure: {top: brand}, windows: [tumbling 1m]}
""")
RULES = parse_rules("""
rules:
  high: {metric: m, window: 1m, above: 5, recover: 3, for: 2m, severity: critical}
  low: {metric: m, window: 1m, below: 2, dimensions: {country: DE}}
  fell: {metric: m, window: 1m, drop: 50%, against: previous, recover: 10%, for: 1m}
  grew: {metric: m, window: 1m, rise: 0.5, against: previous}
""")
WATCHES = RULES.bind(METRICS)


def rows_of(values, *, metric="m", window=MINUTE, country="DE", revision=1, start=BASE):
    """Final metric rows of a series; `values` by window number, None for a window without a value."""
    frame = pl.DataFrame(
        {
            "id": [f"{country}{n}" for n in values],
            "metric": metric,
            "window_start": [start + n * window for n in values],
            "window_end": [start + (n + 1) * window for n in values],
            "window_size": "1m" if window == MINUTE else "1h",
            "dimensions": f'{{"country":"{country}"}}',
            "value": [None if v is None else Decimal(v) for v in values.values()],
            "final": True,
            "revision": revision,
        },
        schema_overrides={"value": METRIC_SCHEMA["value"]},
    )
    missing = [pl.lit(None, d).alias(n) for n, d in METRIC_SCHEMA.items() if n not in frame.columns]
    return frame.with_columns(missing).select(pl.col(n).cast(d) for n, d in METRIC_SCHEMA.items())


def raise_alerts(watches, epochs, *, timezone="UTC", shards=2, ticks=False):
    """Alerts of epochs of (metric rows, watermark, now)."""
    machine = Shards(RaiseAlerts(watches, timezone), shards)
    found = []
    for epoch, (rows, watermark, now) in enumerate(epochs, start=1):
        clock = Clock(epoch, watermark, now)
        batch = read_metrics(rows, watches)
        if ticks:
            batch = pl.concat([batch, tick(watches, clock)])
        found.append(machine.step(batch, clock)["metric_alerts"])
    return pl.concat(found)


def holds(rule, value, base, limit, *, eased):
    """Whether a condition holds at a limit; None where nothing can be said."""
    if value is None or (rule.relative and not base):
        return None
    if rule.condition == "above":
        return value > limit
    if rule.condition == "below":
        return value < limit
    change = Decimal(value - base) / abs(base)
    change = -change if rule.condition == "drop" else change
    return change > limit if eased else change >= limit


def walk(rule, values, step=MINUTE):
    """(state, since, until) of a rule over one series, window by window."""
    turns, run, incident, last = [], None, None, None
    for n, value in sorted(values.items()):
        end, base = BASE + (n + 1) * step, values.get(n - 1)
        if last is not None and end - last > step:
            run = None
        last = end
        held = holds(rule, value, base, rule.limit, eased=False)
        back = rule.limit if rule.recover is None else rule.recover
        still = holds(rule, value, base, back, eased=rule.recover is not None)
        if held is False:
            run = None
        elif held and run is None:
            run = end
        if held and end - run >= rule.hold and incident is None:
            incident = run
            turns.append(("firing", incident, None))
        elif still is False and incident is not None:
            turns.append(("recovered", incident, end))
            incident = None
    return turns


SERIES = st.dictionaries(st.integers(0, 40), st.none() | st.integers(-2, 10), max_size=40)


@examples(40)
@given(SERIES, SERIES, st.lists(st.integers(0, 41), max_size=4), st.sampled_from([0, 10 * 86_400_000]))
def test_incidents_equal_a_walk(germany, france, cuts, leap):
    bounds = [0, *sorted(cuts), 41]
    epochs = []
    for start, stop in itertools.pairwise(bounds):
        rows = [
            rows_of({n: v for n, v in values.items() if start <= n < stop}, country=country)
            for country, values in (("DE", germany), ("FR", france))
        ]
        epochs.append((pl.concat(rows).sample(fraction=1, shuffle=True, seed=1), BASE + stop * MINUTE + leap, 0))
    alerts = raise_alerts(WATCHES, epochs)
    assert alerts["id"].n_unique() == alerts.height
    for watch in WATCHES:
        for country, values in (("DE", germany), ("FR", france)):
            mine = alerts.filter(rule=watch.name, dimensions=f'{{"country":"{country}"}}')
            got = [(r["state"], ms(r["since"]), r["until"] and ms(r["until"])) for r in mine.to_dicts()]
            expected = walk(watch.rule, values) if country == "DE" or watch.name != "low" else []
            order = lambda t: (t[1], t[2] or 0)  # noqa: E731
            assert sorted(got, key=order) == sorted(expected, key=order)


def test_an_incident_fires_once_and_recovers_once():
    values = dict(enumerate([1, 9, 9, 9, 9, 4, 4, 3, 9, 1]))
    epochs = [(rows_of({n: v}), BASE + n * MINUTE, 0) for n, v in values.items()]
    alerts = raise_alerts(WATCHES, epochs).filter(rule="high")
    assert alerts["state"].to_list() == ["firing", "recovered"]
    assert alerts["incident_id"].n_unique() == 1
    fired, recovered = alerts.to_dicts()
    assert (ms(fired["since"]) - BASE, fired["until"], fired["value"]) == (2 * MINUTE, None, Decimal(9))
    assert (ms(recovered["until"]) - BASE, recovered["value"]) == (8 * MINUTE, Decimal(3))
    assert (fired["severity"], fired["metric"], fired["window_size"]) == ("critical", "m", "1m")


def test_a_revision_is_not_judged_again_but_compared_with():
    epochs = [
        (rows_of({0: 10}), BASE, 0),
        (rows_of({0: 4}, revision=2), BASE, 0),
        (rows_of({1: 4}, revision=3), BASE, 0),
    ]
    assert raise_alerts(WATCHES, epochs).filter(rule="fell").is_empty()
    assert raise_alerts(WATCHES, [epochs[0], epochs[2]]).filter(pl.col("rule") == "fell").is_empty()  # `for` of 1m


@pytest.mark.parametrize(
    ("against", "zone", "day"),
    [
        ("yesterday", "Europe/Berlin", datetime(2024, 3, 31, tzinfo=UTC)),  # a day of 23 hours
        ("yesterday", "Europe/Berlin", datetime(2024, 10, 27, tzinfo=UTC)),  # of 25
        ("last_week", "America/New_York", datetime(2024, 3, 13, tzinfo=UTC)),
        ("yesterday", "UTC", datetime(2024, 3, 31, tzinfo=UTC)),
    ],
)
def test_the_same_local_time_is_compared_over_clock_changes(against, zone, day):
    rules = parse_rules(f"rules: {{fell: {{metric: h, drop: 50%, against: {against}}}}}").bind(METRICS)
    hour = 3_600_000
    start = ms(day - timedelta(days=9))
    values, tz, back = {}, ZoneInfo(zone), {"yesterday": 1, "last_week": 7}[against]
    for n in range(24 * 11):
        local = datetime.fromtimestamp((start + (n + 1) * hour) / 1000, tz)
        values[n] = 100 + local.hour  # the same at the same local time: nothing ever drops
    low = max(n for n in values if start + (n + 1) * hour == ms(day + timedelta(hours=15)))
    values[low] = 10
    rows = rows_of(values, metric="h", window=hour, start=start).with_columns(dimensions=pl.lit("{}"))
    epochs = [(rows[n : n + 50], start + n * hour, 0) for n in range(0, rows.height, 50)]
    alerts = raise_alerts(rules, epochs, timezone=zone)
    assert alerts["state"].to_list() == ["firing", "recovered"]
    assert ms(alerts["since"][0]) == start + (low + 1) * hour
    moment = datetime.fromtimestamp((start + (low + 1) * hour) / 1000, tz)
    assert (moment - timedelta(days=back)).hour == moment.hour


def test_silence_fires_by_now_and_recovers_with_data():
    rules = parse_rules("rules: {quiet: {metric: m, window: 1m, absent: 5m}}").bind(METRICS)
    nothing = rows_of({})
    epochs = [
        (rows_of({0: 3, 1: 0}), BASE, 1_000_000),
        (rows_of({2: 0}), BASE, 1_200_000),
        (nothing, BASE, 1_299_999),
        (nothing, BASE, 1_300_000),
        (nothing, BASE, 1_900_000),
        (rows_of({3: 0, 4: 7, 5: 1}), BASE, 2_000_000),
        (nothing, BASE, 2_000_001),
    ]
    alerts = raise_alerts(rules, epochs, ticks=True)
    told = [(r["state"], ms(r["since"]) - BASE, r["until"] and ms(r["until"]) - BASE) for r in alerts.to_dicts()]
    assert told == [("firing", MINUTE, None), ("recovered", MINUTE, 5 * MINUTE)]


def test_a_late_revision_puts_silence_off_and_does_not_end_it():
    rules = parse_rules("rules: {quiet: {metric: m, window: 1m, absent: 5m}}").bind(METRICS)
    nothing = rows_of({})
    epochs = [
        (rows_of({0: 3, 1: 4}), BASE, 1_000_000),
        (rows_of({0: 5}, revision=2), BASE, 1_200_000),
        (nothing, BASE, 1_499_999),
        (nothing, BASE, 1_500_000),
        (rows_of({0: 6, 1: 5}, revision=3), BASE, 1_600_000),
        (nothing, BASE, 2_000_000),
        (pl.concat([rows_of({1: 7}, revision=4), rows_of({3: 1, 4: 1})]), BASE, 2_100_000),
        (nothing, BASE, 2_400_000),
    ]
    alerts = raise_alerts(rules, epochs, ticks=True)
    told = [(r["state"], ms(r["since"]) - BASE, r["until"] and ms(r["until"]) - BASE) for r in alerts.to_dicts()]
    assert told == [
        ("firing", 2 * MINUTE, None),
        ("recovered", 2 * MINUTE, 4 * MINUTE),
        ("firing", 5 * MINUTE, None),
    ]


def test_early_rows_and_other_windows_are_not_judged():
    early = rows_of({0: 99, 1: 99, 2: 99, 3: 99}).with_columns(final=pl.lit(value=False))
    other = rows_of({0: 99, 1: 99, 2: 99, 3: 99}).with_columns(window_size=pl.lit("10m/1m"))
    assert raise_alerts(WATCHES, [(pl.concat([early, other]), BASE, 0)]).is_empty()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{metric: n, above: 1}", "rules.r.metric: no metric 'n'"),
        ("{metric: m, above: 1}", "rules.r.window: the metric has several: 1m, 10m/1m"),
        ("{metric: m, window: 2m, above: 1}", "rules.r.window: '2m' is no window of m"),
        ("{metric: h, above: 1, below: 0}", "rules.r: give exactly one of"),
        ("{metric: h}", "rules.r: give exactly one of"),
        ("{metric: h, drop: 30%}", "rules.r.against: required with drop"),
        ("{metric: h, above: 1, against: previous}", "rules.r.against: belongs to drop and rise"),
        ("{metric: h, above: 1, recover: 2}", "rules.r.recover: 2 would recover while above 1 still holds"),
        ("{metric: h, below: 1, recover: 0}", "rules.r.recover: 0 would recover"),
        ("{metric: h, drop: 1.2345678, against: yesterday}", "rules.r.drop: 1.2345678 must be"),
        ("{metric: h, above: 1, sevrity: info}", "rules.r.sevrity: unknown key, did you mean severity?"),
        ("{metric: h, above: 1, severity: bad}", "rules.r.severity: 'bad' is not one of"),
        ("{metric: h, above: 1, dimensions: {country: DE}}", "rules.r.dimensions.country: h has no such"),
        ("{metric: h, absent: 5m, for: 1m}", "rules.r.absent: must be"),
        ("{metric: t, above: 5}", "rules.r.metric: a ranking has no one value"),
        ("{metric: h, above: 0.12345678}", "rules.r.above: has more than 6 decimals"),
        ("{metric: h, above: 1, recover: x}", "rules.r.recover: expected a decimal number"),
    ],
)
def test_a_wrong_rule_is_one_line_with_its_path(rule, message):
    with pytest.raises(ConfigError) as error:
        parse_rules(f"rules:\n  r: {rule}", "alerts.yaml").bind(METRICS)
    assert str(error.value).removeprefix("alerts.yaml: ").startswith(message)


def test_the_shipped_rules_fit_the_shipped_metrics():
    watches = standard_rules().bind(standard_metrics())
    assert {watch.name for watch in watches} == set(standard_rules().rules)


def test_a_window_that_rests_on_too_little_changes_nothing():
    metrics = parse_metrics("""
metrics:
  r: {measure: {ratio: [{count: price}, count]}, windows: [tumbling 1m]}
  n: {measure: count, windows: [tumbling 1m]}
""")
    watches = parse_rules("""
rules:
  share: {metric: r, above: 0.5, least: 4}
  fell: {metric: n, drop: 50%, against: previous, least: 10}
""").bind(metrics)
    shares = rows_of({0: "1", 1: "1", 2: "0.1", 3: "0.1"}, metric="r").with_columns(
        denominator=pl.Series([3, 4, 3, 4], dtype=METRIC_SCHEMA["denominator"])
    )
    falls = rows_of({0: "9", 1: "1", 2: "10", 3: "5", 4: "11"}, metric="n")
    alerts = raise_alerts(watches, [(pl.concat([shares, falls]), BASE + 9 * MINUTE, 0)])
    told = alerts.select("rule", "state", (pl.col("since").dt.epoch("ms") - BASE) // MINUTE).sort("rule", "state")
    assert told.rows() == [
        ("fell", "firing", 4),  # 10 to 5; not 9 to 1
        ("share", "firing", 2),
        ("share", "recovered", 2),
    ]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{metric: m, window: 1m, above: 5, least: 3}", "rules.r.least: m is no ratio or mean"),
        ("{metric: m, window: 1m, absent: 5m, least: 3}", "least: must have at most 4 decimals"),
    ],
)
def test_least_needs_something_to_rest_on(rule, said):
    with pytest.raises(ConfigError, match=said):
        parse_rules(f"rules: {{r: {rule}}}").bind(METRICS)
