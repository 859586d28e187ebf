"""What `make chaos-spark` calls equal, and how it counts the files that failing runs leave."""

import itertools
import time
from collections.abc import Sequence

import polars as pl
import pytest

from ecompulse.epochs import tables as written
from ecompulse.kernels.decode import Rule
from ecompulse.kernels.event import DEAD_LETTER_SCHEMA, FRAME_SCHEMA
from ecompulse.kernels.quality import quality_counts
from reliability.spark_chaos import compared, tables, vacuum
from support.place import Place, timeless
from support.process import events, write_lines

HOUR = 3_600_000
NOW = time.time_ns() // 1_000_000
LONG_AGO = {"event_time": 1_756_771_199_626}


def quality(read_at: Sequence[int], events: int = 2) -> dict[str, pl.DataFrame]:
    """The table of data quality after a dead letter without a time at each of these times (ms), and old events."""
    parts = [_counts(pl.DataFrame([LONG_AGO] * events, schema=FRAME_SCHEMA), [], NOW)]
    parts += [_counts(pl.DataFrame(schema=FRAME_SCHEMA), [Rule.MISSING_REQUIRED.value], now) for now in read_at]
    window = pl.col("window_start").rank("dense").cast(pl.String())
    named = pl.concat(parts).with_columns(job=pl.lit("job"), instance=pl.lit(None, pl.String()), id=window)
    return {"data_quality": timeless("data_quality", named)}


def _counts(events: pl.DataFrame, rules: Sequence[str], now: int) -> pl.DataFrame:
    dead = pl.DataFrame({"rule": rules}, schema={"rule": pl.String()})
    others = [pl.lit(None, kind).alias(name) for name, kind in DEAD_LETTER_SCHEMA.items() if name != "rule"]
    return quality_counts(events, dead.with_columns(others), HOUR, now, 0)


@pytest.mark.parametrize("read_at", [[NOW - HOUR, NOW - HOUR], [NOW - HOUR, NOW]])
def test_the_hour_of_reading_makes_no_difference(read_at):
    assert compared(quality(read_at), quality([NOW, NOW])) == (0, 0)


def test_a_lost_dead_letter_and_a_lost_event_make_one():
    assert compared(quality([NOW]), quality([NOW, NOW])) == (len(Rule), len(Rule))
    assert min(compared(quality([NOW], events=1), quality([NOW], events=2))) > 0


@pytest.mark.slow
@pytest.mark.parametrize("fail", [(), (0,), (0, 2)], ids=lambda fail: f"{len(fail)} runs fail")
def test_files_of_failing_runs_are_counted_and_vacuumed(tmp_path, monkeypatch, fail):
    """A bundle fails after it has written a file, as when a worker dies: the run is run again, the file stays."""
    calls, write = itertools.count(), written.WriteTable._write

    def dies(self, date, frame):
        found = write(self, date, frame)
        if next(calls) in fail:
            raise RuntimeError("a worker died")
        return found

    place = Place(tmp_path, write_lines(tmp_path / "in" / "1.jsonl", events(60)), ("--warehouse=none",))
    monkeypatch.setattr(written.WriteTable, "_write", dies)
    assert place.run("--drain") == 0
    before = tables(place.lake)
    assert before["enriched_events"].height
    left, after = vacuum(place.lake)
    assert (left >= len(fail), left > 0, after) == (True, bool(fail), 0)
    assert compared(tables(place.lake), before) == (0, 0)
