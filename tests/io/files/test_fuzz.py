"""Files of random tokens, read in random epochs: rows in = good + dead, no byte read twice or passed over.

`ECOMPULSE_FUZZ=100000` tries so many files.
"""

import csv
import gzip
import os
import random
from pathlib import Path

import polars as pl
import pytest

from ecompulse.io.files.source import FileSource
from ecompulse.kernels.decode import decode

FILES = int(os.environ.get("ECOMPULSE_FUZZ", "4000"))
NOW = 1_900_000_000_000
EVENT = b'e,search,2026-03-01T00:00:00Z,u,"red, ""blue"""'
TOKENS = [b'"', b'""', b",", b"\n", b"\r\n", b"\r", b'",', b',"', b'"\n', b"a", b"\xff", b"\x00", b"\xef\xbb\xbf",
          EVENT, b"{", b"}",
          b'{"event_id":"e","event_type":"search","event_time":"2026-03-01T00:00:00Z","user_id":"u"}']  # fmt: skip
HEADER = b"event_id,event_type,event_time,user_id,query\n"


def content(draw: random.Random) -> bytes:
    weights = [draw.random() ** 3 for _ in TOKENS]
    return b"".join(draw.choices(TOKENS, weights, k=draw.randrange(60)))


def read(path: Path, draw: random.Random) -> tuple[list[bytes], int]:
    """Raw rows, and how many of them decoding gave back, good or dead."""
    positions, rows, decoded = {}, [], 0
    while True:
        source = FileSource(str(path), 0)
        backlog = source.plan(positions, draw.choice([1, 2, 7, 1000]), {}, whole=True)
        for split in backlog.splits:
            for batch in source.reader().read(split):
                rows += batch["raw"].to_list()
                found = decode(batch, NOW)
                decoded += found.events.height + found.dead.height
        positions |= backlog.positions
        if not backlog.splits:
            return rows, decoded


@pytest.mark.night
@pytest.mark.parametrize("kind", ["csv", "jsonl", "csv.gz", "jsonl.gz"])
def test_every_row_of_a_file_is_good_or_dead(tmp_path, kind):
    for seed in range(FILES // 4):
        draw = random.Random(seed)
        body, path = content(draw), tmp_path / f"a.{kind}"
        data = HEADER * kind.startswith("csv") + body
        path.write_bytes(gzip.compress(data, 1) if kind.endswith("gz") else data)
        rows, decoded = read(path, draw)
        assert decoded == len(rows), seed
        kept = b"".join(rows)
        strip = bytes.maketrans(b"", b"")
        body = body if kind.startswith("csv") else body.removeprefix(b"\xef\xbb\xbf")
        assert kept.translate(strip, b"\r\n") == body.translate(strip, b"\r\n"), seed


@pytest.mark.night
def test_well_formed_files_are_split_as_python_does(tmp_path):
    for seed in range(FILES // 4):
        draw, path = random.Random(seed), tmp_path / "a.csv"
        cells = ["", "a", '"', ",", "\n", "\r\n", '""', 'a"b', "é", '",', ',"', "x" * draw.randrange(50)]
        table = [
            ["".join(draw.choices(cells, k=draw.randrange(4))) for _ in range(2)] for _ in range(draw.randrange(9))
        ]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=draw.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])).writerows([["h1", "h2"], *table])
        rows, _ = read(path, draw)
        assert [next(csv.reader([row.decode()])) for row in rows] == table, seed


@pytest.mark.night
def test_every_row_of_a_parquet_file_is_good_or_dead(tmp_path):
    texts = ["e", "", "search", "2026-03-01T00:00:00Z", "\x00", '"', None, "{}", "9" * 30]
    for seed in range(FILES // 20):
        draw, path = random.Random(seed), tmp_path / "a.parquet"
        names = draw.sample(
            ["event_id", "event_type", "event_time", "user_id", "source", "source_offset", "raw", "x", ""], 5
        )
        height = draw.randrange(9)
        pl.DataFrame(
            {name: draw.choices(texts, k=height) for name in names}, schema=dict.fromkeys(names, pl.String)
        ).write_parquet(path)
        source, positions, decoded = FileSource(str(path), 0), {}, 0
        while (backlog := source.plan(positions, draw.choice([1, 3, 100]), {}, whole=False)).splits:
            for split in backlog.splits:
                for batch in source.reader().read(split):
                    found = decode(batch, NOW)
                    decoded += found.events.height + found.dead.height
            positions |= backlog.positions
        assert decoded == height, seed
