"""Metrics of real data against SQL, and of a small stream against Beam's own windows."""

from datetime import UTC, datetime
from pathlib import Path

import apache_beam as beam
import duckdb
import polars as pl
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue

from ecompulse.kernels.decode import decode_csv
from ecompulse.kernels.event import FRAME_SCHEMA, RAW_SCHEMA
from ecompulse.kernels.mapping import load_mapping
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import parse_metrics, standard_metrics
from support.metric_runs import by_window, ms, run_metrics

REES46 = Path(__file__).parents[4] / "shared/data/rees46_2019-10-01_part1.csv.gz"
NOW = 4_102_444_800_000
MINUTE = 60_000


def epochs(events, size, delay=600_000):
    """Epochs of an ordered stream."""
    found, watermark = [], -1
    for start in range(0, events.height, size):
        part = events[start : start + size]
        found.append((part, watermark))
        watermark = max(watermark, part["event_time"].dt.epoch("ms").max() - delay)
    return found


@pytest.mark.skipif(not REES46.exists(), reason="shared/data is not there")
def test_the_standard_set_over_rees46_equals_sql():
    raw = pl.read_csv(REES46, has_header=False, separator="\x00", quote_char=None, new_columns=["raw"])
    rows = raw[1:].with_columns(
        pl.col("raw").cast(pl.Binary),
        source=pl.lit("r"),
        source_partition=pl.lit(0, pl.Int32),
        source_offset=pl.int_range(pl.len()),
    )
    header = raw["raw"][0]
    events = decode_csv(
        rows.select(RAW_SCHEMA.names()).cast(dict(RAW_SCHEMA)), header, NOW, load_mapping("rees46")
    ).events
    plan = bind(standard_metrics(), events.schema, skip=True, fill=3)
    metrics, _ = run_metrics(plan, epochs(events, 3_000), num_shards=2)
    source = events.with_columns(millis=pl.col("event_time").dt.epoch("ms"))  # noqa: F841  # named by the SQL
    sql = """
        select millis - millis % 60000 as start, sum(coalesce(quantity, 1) * price) filter (event_type = 'purchase'),
               count(distinct user_id), count(*) filter (event_type in ('page_view', 'product_view'))
        from source group by 1
    """
    shown = by_window(metrics)
    for start, revenue, visitors, views in duckdb.sql(sql).fetchall():
        for name, wanted in (("active_visitors", visitors), ("page_views", views)):
            row = shown.get((name, "1m", start, start + MINUTE, "{}", None))
            assert (row["value"] if row else 0) == wanted
        row = shown.get(("revenue_gross", "1m", start, start + MINUTE, "{}", "USD"))
        assert (row["value"] if row else 0) == (revenue or 0)
    gross = {k[1:]: r["value"] for k, r in shown.items() if k[0] == "revenue_gross"}
    assert gross == {k[1:]: r["value"] for k, r in shown.items() if k[0] == "revenue"}
    categories = sum(r["value"] for k, r in shown.items() if k[0] == "revenue_by_category")
    assert categories == sum(v for k, v in gross.items() if k[0] == "1m")


@pytest.mark.parametrize(("window", "label"), [(FixedWindows(60), "1m"), (SlidingWindows(300, 60), "5m/1m")])
def test_windows_equal_beam_s_own(window, label):
    base = 1_700_000_000
    rows = [(base + (n * 37) % 900, ["DE", "FR", None][n % 3], n % 11) for n in range(120)]
    kind = "sliding" if "/" in label else "tumbling"
    yaml = f"metrics: {{n: {{measure: {{sum: quantity}}, dimensions: [brand], windows: [{kind} {label}]}}}}"
    events = pl.DataFrame(
        {
            "event_time": [t * 1000 for t, _, _ in rows],
            "brand": [b for _, b, _ in rows],
            "quantity": [q for *_, q in rows],
        }
    ).with_columns(event_id=pl.int_range(pl.len()).cast(pl.String), event_type=pl.lit("purchase"))
    events = events.with_columns(pl.lit(None, d).alias(n) for n, d in FRAME_SCHEMA.items() if n not in events.columns)
    events = events.select(pl.col(n).cast(d) for n, d in FRAME_SCHEMA.items())
    metrics, _ = run_metrics(bind(parse_metrics(yaml), FRAME_SCHEMA, fill=0), [(events, -1)], bundles=3, num_shards=2)
    got = {
        (dims, start // 1000, end // 1000, int(r["value"]))
        for (_, _, start, end, dims, _), r in by_window(metrics).items()
    }

    class Told(beam.DoFn):
        def process(self, item, bounds=beam.DoFn.WindowParam):
            brand, total = item
            dims = '{"brand":null}' if brand is None else f'{{"brand":"{brand}"}}'
            yield dims, int(bounds.start), int(bounds.end), total

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        totals = (
            pipeline
            | beam.Create(rows)
            | beam.Map(lambda row: TimestampedValue((row[1], row[2]), row[0]))
            | beam.WindowInto(window)
            | beam.CombinePerKey(sum)
            | beam.ParDo(Told())
        )
        assert_that(totals, equal_to(sorted(got)))
    assert ms(datetime.fromtimestamp(base, UTC)) == base * 1000
