"""Tables of random commits, read in random epochs: rows in = good + dead, as deltalake itself counts and reads them.

`ECOMPULSE_FUZZ=100000` tries so many commits.
"""

import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from ecompulse.io.delta import DeltaSource
from ecompulse.kernels.decode import decode

COMMITS = int(os.environ.get("ECOMPULSE_FUZZ", "4000")) // 4
NOW = 1_900_000_000_000
TEXTS = ["e", "", "search", "2026-03-01T00:00:00Z", "\x00", '"', "a b", "50%", "%20", "ü", "=", "a/b", ":", None]
NAMES = ["event_id", "event_type", "event_time", "user_id", "source", "source_offset", "raw", "x", "n"]
PARTITION = ["event_type", "x", "n"]


def commit(draw: random.Random, place: Path, names: list[str], parts: list[str]) -> None:
    """One append of up to nine rows, partitioned by text and number."""
    height = draw.randrange(9)
    columns: dict[str, Any] = {name: draw.choices(range(-3, 3) if name == "n" else TEXTS, k=height) for name in names}
    schema = {name: pl.Int64 if name == "n" else pl.String for name in names}
    target = draw.choice([1, 10_000])  # bytes: many small files, or one
    write_deltalake(
        str(place),
        pl.DataFrame(columns, schema=schema),
        mode="append",
        partition_by=parts or None,
        target_file_size=target if draw.random() < 0.3 else None,
    )


def read(draw: random.Random, source: DeltaSource, positions: dict[str, Any]) -> tuple[list[pl.DataFrame], int]:
    """Frames until there is nothing new, and how many rows decoding gave back, good or dead."""
    frames, decoded = [], 0
    while (backlog := source.plan(positions, draw.choice([1, 3, 100]), {}, whole=False)).splits:
        for split in backlog.splits:
            assert not split.fault
            for frame in source.reader().read(split):
                assert frame.height == split.rows
                found = decode(frame, NOW)
                decoded += found.events.height + found.dead.height
                frames.append(frame)
        positions |= backlog.positions
    return frames, decoded


def rows(frame: pl.DataFrame, names: list[str]) -> Counter[tuple[Any, ...]]:
    return Counter(frame.select(names).rows())


def check(place: Path, seed: int) -> None:
    """A table that grows while it is read, compacted now and then."""
    draw = random.Random(seed)
    names = draw.sample(NAMES, draw.randrange(2, 6))
    parts = [name for name in PARTITION if name in names and draw.random() < 0.5][: len(names) - 1]
    positions: dict[str, Any] = {}
    frames, decoded = [], 0
    for _ in range(draw.randrange(1, 5)):
        commit(draw, place, names, parts)
        if draw.random() < 0.3:
            DeltaTable(str(place)).optimize.compact()
        source = DeltaSource(str(place), 0, max_files=draw.choice([1, 2, 1000]))
        more, count = read(draw, source, positions)
        frames, decoded = frames + more, decoded + count
    whole = pl.DataFrame(DeltaTable(str(place)).to_pyarrow_table())
    assert decoded == whole.height
    if frames:
        ours = [f"\x00{name}" if name in {"source", "source_offset", "raw"} else name for name in names]
        assert rows(pl.concat(frames, how="diagonal_relaxed"), ours) == rows(whole, names)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(COMMITS // 3), marks=pytest.mark.night)], ids=len)
def test_every_row_of_a_table_is_good_or_dead(tmp_path, seeds):
    for seed in seeds:
        check(tmp_path / str(seed), seed)
        shutil.rmtree(tmp_path / str(seed))
