"""Sessions against Beam's own `Sessions` and `CombinePerKey`, element by element."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import window

from ecompulse.kernels.event import TIME
from ecompulse.kernels.sessions.kernel import Sessionize
from support.journeys import SCHEMA, run

GAP = 30 * 60
REES46 = Path(__file__).parents[4] / "shared" / "data" / "rees46_2019-10-01_part1.csv.gz"
KINDS = {"view": "product_view", "cart": "add_to_cart", "purchase": "purchase"}


class Tell(beam.CombineFn):
    """Count, first and last time (ms), purchases."""

    def create_accumulator(self) -> tuple[int, float, float, int]:
        return 0, float("inf"), float("-inf"), 0

    def add_input(self, acc: Any, element: tuple[int, str]) -> Any:
        count, first, last, bought = acc
        return count + 1, min(first, element[0]), max(last, element[0]), bought + (element[1] == "purchase")

    def merge_accumulators(self, accs: Any) -> Any:
        counts, firsts, lasts, bought = zip(*accs, strict=True)
        return sum(counts), min(firsts), max(lasts), sum(bought)

    def extract_output(self, acc: Any) -> Any:
        return acc


def beam_sessions(events: list[tuple[str, int, str]], folder: Path) -> set[tuple[Any, ...]]:
    """(visitor, events, start, end, purchases) of each session, by Beam."""
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        (
            pipeline
            | beam.Create(events)
            | beam.Map(lambda e: window.TimestampedValue((e[0], (e[1], e[2])), e[1] / 1000))
            | beam.WindowInto(window.Sessions(GAP))
            | beam.CombinePerKey(Tell())
            | beam.Map(lambda kv: "\t".join(map(str, (kv[0], *kv[1]))))
            | beam.io.WriteToText(str(folder / "sessions"))
        )
    lines = [line for part in folder.glob("sessions*") for line in part.read_text().splitlines()]
    return {(v, *map(int, numbers)) for v, *numbers in (line.split("\t") for line in lines)}


@pytest.mark.slow
@pytest.mark.skipif(not REES46.exists(), reason=f"{REES46} is not here")
def test_real_sessions_equal_those_of_beam(tmp_path):
    raw = pl.read_csv(REES46).with_row_index("source_offset")
    time = pl.col("event_time").str.to_datetime("%Y-%m-%d %H:%M:%S UTC", time_unit="ms", time_zone="UTC").cast(TIME)
    frame = raw.select(
        event_id=pl.col("source_offset").cast(pl.String),
        event_type=pl.col("event_type").replace_strict(KINDS),
        event_time=time,
        source=pl.lit("rees46"),
        source_partition=pl.lit(0, pl.Int32),
        source_offset=pl.col("source_offset").cast(pl.Int64),
        visitor=pl.col("user_id").cast(pl.String),
        product_id=pl.col("product_id").cast(pl.String),
        user_id=pl.col("user_id").cast(pl.String),
    )
    frame = pl.concat([pl.DataFrame(schema=SCHEMA), frame], how="diagonal")
    shuffled = frame.with_columns(_at=pl.col("event_time").dt.epoch("ms") + pl.col("source_offset") * 7919 % 600_000)
    found = run(
        Sessionize(longest=0), shuffled.sort("_at").drop("_at"), cuts=range(0, frame.height, 1500), num_shards=3
    )
    times = pl.col("session_start", "session_end").dt.epoch("ms")
    got = (
        found["sessions"]
        .with_columns(times)
        .select("visitor", "events", "session_start", "session_end", "purchases")
        .rows()
    )
    events = frame.select("visitor", pl.col("event_time").dt.epoch("ms"), "event_type").rows()
    assert found["late_events"].is_empty()
    assert set(got) == beam_sessions(events, tmp_path)
    assert len(got) == len(set(got)) > 1000
