"""Early values, late rows, revisions, zeros, days of a timezone, and a drained input that goes on."""

from decimal import Decimal

import polars as pl
import pytest

from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import parse_metrics
from ecompulse.kernels.metrics.kernel import CombineSlices
from ecompulse.kernels.metrics.slices import late_rows, to_slices
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.metric_runs import Shards, by_window, latest, ms, run_metrics

MINUTE = 60_000
BASE = 1_700_000_040_000  # a whole minute
ONE = "metrics: {n: {measure: count, windows: [tumbling 1m], early: true}}"


def at(*minutes: float, kind="page_view", base=BASE):
    """Events at minutes after BASE."""
    frame = pl.DataFrame(
        {
            "event_id": [f"e{minute}" for minute in minutes],
            "event_type": kind,
            "event_time": [base + int(minute * MINUTE) for minute in minutes],
            "user_id": "u",
            "source": "s",
            "source_partition": 0,
            "source_offset": list(range(len(minutes))),
        },
        schema_overrides={"event_time": pl.Int64},
    )
    frame = frame.with_columns(pl.lit(None, d).alias(n) for n, d in FRAME_SCHEMA.items() if n not in frame.columns)
    return frame.select(pl.col(n).cast(d) for n, d in FRAME_SCHEMA.items())


def minute(number):
    return BASE + number * MINUTE


def told(metrics):
    """(minutes of the window, value, final, revision), in order of revision."""
    rows = metrics.sort("revision", "window_start").to_dicts()
    return [((ms(r["window_start"]) - BASE) // MINUTE, int(r["value"]), r["final"], r["revision"]) for r in rows]


def test_early_values_come_before_the_final_one():
    plan = bind(parse_metrics(ONE), FRAME_SCHEMA, fill=0)
    metrics, _ = run_metrics(plan, [(at(0.1), -1), (at(0.5, 1), minute(0)), (at(), minute(1))], drain=False)
    assert told(metrics) == [(0, 1, False, 1), (0, 2, False, 2), (1, 1, False, 2), (0, 2, True, 3)]
    assert metrics.filter(pl.col("window_start").dt.epoch("ms") == BASE)["id"].n_unique() == 1


def test_an_early_value_of_a_sliding_window_is_that_of_the_first_to_close():
    yaml = "metrics: {n: {measure: count, windows: [sliding 5m/1m], early: true}}"
    metrics, _ = run_metrics(bind(parse_metrics(yaml), FRAME_SCHEMA, fill=0), [(at(0.1, 3.5), -1)], drain=False)
    assert told(metrics) == [(-4, 1, False, 1), (-1, 2, False, 1)]


def test_late_rows_revise_within_the_lateness_and_no_longer():
    plan = bind(parse_metrics(ONE.replace(", early: true", "")), FRAME_SCHEMA, fill=0, lateness=2 * MINUTE)
    epochs = [(at(0.1, 0.2), -1), (at(), minute(1)), (at(0.9), minute(3) - 1), (at(0.8, 1.5), minute(3))]
    metrics, late = run_metrics(plan, epochs, drain=False)
    assert told(metrics) == [(0, 2, True, 2), (0, 3, True, 3), (1, 1, True, 4)]
    assert late["event_id"].to_list() == ["e0.8"]
    assert late["late_by_ms"].to_list() == [0]
    assert late["operator"].to_list() == ["realtime_metrics"]


def test_late_rows_of_a_sliding_window_count_where_they_still_can():
    yaml = "metrics: {n: {measure: count, windows: [sliding 3m/1m]}}"
    plan = bind(parse_metrics(yaml), FRAME_SCHEMA, fill=0)
    metrics, late = run_metrics(
        plan, [(at(0.5, 4.5), -1), (at(), minute(2)), (at(0.6), minute(2)), (at(), minute(9))], drain=False
    )
    assert late.is_empty()
    final = {(ms(r["window_start"]) - BASE) // MINUTE: int(r["value"]) for r in latest(metrics).to_dicts()}
    assert final == {-2: 1, -1: 1, 0: 2, 2: 1, 3: 1, 4: 1}


def test_an_event_is_late_for_the_window_that_lacks_it_and_counts_in_the_longer_one():
    yaml = """
    metrics:
      short: {measure: count, windows: [tumbling 1m], filter: event_type == 'search'}
      long: {measure: count, windows: [tumbling 1h]}
      patient: {measure: count, windows: [tumbling 1m], lag: 1h}
    """
    plan = bind(parse_metrics(yaml), FRAME_SCHEMA, fill=0)
    clock = Clock(1, minute(2), 0)
    events = pl.concat([at(0.5, kind="search"), at(0.5, 1.5, 2.5), at(1, kind="search")])
    late = late_rows(events, clock, plan)
    assert late.select("event_type", "late_by_ms").rows() == [("search", MINUTE), ("search", 0)]
    assert late_rows(events, Clock(1, END_OF_TIME, 0), plan).is_empty(), "draining ends the input, nothing is late"


def test_zeros_fill_a_living_series_and_end():
    plan = bind(parse_metrics(ONE.replace(", early: true", "")), FRAME_SCHEMA, fill=2)
    events = at(0.5, 2.5, 9.5)
    metrics, _ = run_metrics(plan, [(events, -1), (at(), minute(4)), (at(), minute(7))])
    values = [(window, value) for window, value, _, _ in sorted(told(metrics))]
    assert values == [(0, 1), (1, 0), (2, 1), (3, 0), (4, 0), (9, 1), (10, 0), (11, 0)]


@pytest.mark.parametrize("leap", [minute(5), minute(60), minute(10_000)])
def test_a_leap_of_the_watermark_loses_no_window(leap):
    plan = bind(parse_metrics(ONE), FRAME_SCHEMA, fill=2)
    metrics, _ = run_metrics(plan, [(at(0.5, 3.5), -1), (at(), leap)], drain=False)
    final = {window: value for window, value, final, _ in told(metrics) if final}
    expected = {0: 1, 1: 0, 2: 0, 3: 1, 4: 0} if leap == minute(5) else {0: 1, 1: 0, 2: 0, 3: 1, 4: 0, 5: 0}
    assert final == expected


def test_a_drained_input_goes_on_the_next_day():
    plan = bind(parse_metrics(ONE.replace("tumbling 1m", "tumbling 1m, sliding 3m/1m")), FRAME_SCHEMA, fill=1)
    shards = Shards(CombineSlices.of(plan))
    first, second = at(0.5, 2.2), at(2.9, 3.5, 5.5)
    steps = [(first, -1), (at(), END_OF_TIME), (second, minute(2) + 12_000), (at(), END_OF_TIME)]
    found = [shards.step(to_slices(e, plan), Clock(n, w, 0))["metrics"] for n, (e, w) in enumerate(steps, start=1)]
    whole, _ = run_metrics(plan, [(pl.concat([first, second]), -1)])
    values = lambda frame: {k: r["value"] for k, r in by_window(frame).items()}  # noqa: E731
    assert values(pl.concat(found)) == values(whole)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2024-3-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("Asia/Kolkata", "2024-3-31", 24),
        ("America/Sao_Paulo", "2018-11-4", 23),  # midnight itself is skipped
        ("UTC", "2024-3-31", 24),
    ],
)
def test_days_are_those_of_the_timezone(zone, day, hours):
    yaml = "metrics: {n: {measure: count, windows: [tumbling 1d, sliding 2d/1d, tumbling 1h]}}"
    plan = bind(parse_metrics(yaml), FRAME_SCHEMA, fill=0, timezone=zone)
    local = pl.Series([day]).str.to_datetime("%Y-%m-%d", time_unit="ms")
    midnight = local.dt.replace_time_zone(zone, non_existent="null", ambiguous="earliest")[0]
    if midnight is None:
        midnight = (local + pl.Series([3_600_000]).cast(pl.Duration("ms"))).dt.replace_time_zone(zone)[0]
    start = ms(midnight)
    stop = start + hours * 60 * MINUTE
    inside = [0, 1, hours * 60 - 1]
    events = pl.concat([at(*inside, base=start), at(-1, hours * 60, base=start)])
    metrics, late = run_metrics(plan, [(events, -1), (events.clear(), stop), (events.clear(), stop + 1)])
    assert late.is_empty()
    rows = by_window(metrics)
    assert rows["n", "1d", start, stop, "{}", None]["value"] == Decimal(3)
    assert rows["n", "1d", start, stop, "{}", None]["revision"] == 2
    days = sorted((k[2], k[3], int(r["value"])) for k, r in rows.items() if k[1] == "2d/1d")
    assert [value for _, _, value in days] == [1, 4, 4, 1]
    assert days[1][1] == stop
    assert all(k[3] - k[2] == 60 * MINUTE for k in rows if k[1] == "1h")


@pytest.mark.parametrize("fill", [0, 3])
def test_a_day_that_a_zone_skipped_is_no_window_and_takes_nothing_from_its_neighbours(fill):
    yaml = "metrics: {n: {measure: count, windows: [tumbling 1d, sliding 2d/1d]}}"
    plan = bind(parse_metrics(yaml), FRAME_SCHEMA, fill=fill, timezone="Pacific/Apia")
    leap, day = 1_325_239_200_000, 24 * 60  # 2011-12-30T10:00Z, where 29 December becomes the 31st
    events = at(-2 * day, -day, -1, 0, 1, day, base=leap)
    metrics, late = run_metrics(plan, [(events, -1), (events.clear(), leap), (events.clear(), END_OF_TIME)])
    assert late.is_empty()
    final = latest(metrics)
    assert metrics.group_by("id").agg(pl.col("window_end").n_unique())["window_end"].to_list() == [1] * final.height
    assert (final["window_start"] < final["window_end"]).all()
    days = {(k[2] - leap) // (day * MINUTE): int(r["value"]) for k, r in by_window(metrics).items() if k[1] == "1d"}
    assert {number: days[number] for number in (-2, -1, 0, 1)} == {-2: 1, -1: 2, 0: 2, 1: 1}


def test_state_of_another_definition_is_dropped_and_begins_anew():
    plan = bind(parse_metrics(ONE), FRAME_SCHEMA, fill=0)
    shards = Shards(CombineSlices.of(plan))
    shards.step(to_slices(at(0.5), plan), Clock(1, -1, 0))
    other = bind(parse_metrics(ONE.replace("count", "{distinct: user_id}")), FRAME_SCHEMA, fill=0)
    shards.kernel = CombineSlices.of(other)
    out = shards.step(to_slices(at(0.6), other), Clock(2, minute(1), 0))["metrics"]
    assert out.is_empty()  # the new series is late for its window, the old one is gone
    assert shards.states[0].rows["slices"].is_empty()


def test_state_is_gone_when_no_window_needs_it():
    plan = bind(parse_metrics(ONE.replace("tumbling 1m", "tumbling 1m, sliding 3m/1m")), FRAME_SCHEMA, fill=1)
    shards = Shards(CombineSlices.of(plan))
    for epoch, watermark in enumerate(range(minute(0), minute(30), MINUTE), start=1):
        shards.step(to_slices(at((watermark - BASE) / MINUTE), plan), Clock(epoch, watermark, 0))
        assert shards.states[0].rows["slices"].height <= 6
    shards.step(to_slices(at(), plan), Clock(99, minute(60), 0))
    live = shards.states[0]
    live.watermark = minute(60)
    assert live._live("slices").is_empty()
