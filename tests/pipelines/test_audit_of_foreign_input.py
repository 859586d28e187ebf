"""After each kind of foreign input the audit finds nothing missing, and rows in = good + dead."""

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from support.marks import nightly
from support.process import Shop, command, events

pytestmark = pytest.mark.slow

ROWS = [line.encode() for line in events(30, 100)]  # e124 is bad, e119 a copy
HEADER = b"event_id,event_type,event_time,user_id,query"
TWICE = b"event_id,event_type,event_time,user_id,user_id"
CELLS = b"c%d,search,2026-03-01T00:00:%02dZ,u,%s"
WHOLE = gzip.compress(b"\n".join(ROWS) + b"\n", mtime=0)
GOOD = {"event_id": "e", "event_type": "search", "event_time": "2026-03-01T00:00:00Z", "user_id": "u"}

Input = Callable[[Path], Any]
"""Writes into a folder; what comes after a `yield` happens between two runs."""


def lines(*rows: bytes, end: bytes = b"\n", last: bool = True) -> bytes:
    return end.join(rows) + end * last


def csv(cell: bytes = b"red", header: bytes = HEADER, end: bytes = b"\n") -> bytes:
    return lines(header, *(CELLS % (n, n, cell if n == 7 else b"red") for n in range(20)), end=end)


def one(name: str, content: bytes) -> Input:
    return lambda folder: (folder / name).write_bytes(content)


def many(contents: dict[str, bytes]) -> Input:
    return lambda folder: [(folder / name).write_bytes(content) for name, content in contents.items()]


def later(name: str, first: bytes, *others: bytes) -> Input:
    """A file that is another one at each run."""

    def write(folder: Path) -> Iterator[None]:
        for content in (first, *others):
            (folder / name).write_bytes(content)
            yield

    return write


def rotated(folder: Path) -> Iterator[None]:
    (folder / "log.jsonl").write_bytes(lines(*ROWS[:20]))
    yield
    (folder / "log.jsonl").rename(folder / "log.1.jsonl")
    (folder / "log.jsonl").write_bytes(lines(*ROWS[20:]))
    yield


def parquet(folder: Path) -> None:
    kinds = {
        "kept": timedelta(seconds=3), "day": date(2026, 3, 1), "exact": Decimal("1.10"), "bytes": b"\xff",
        "list": [1, 2], "struct": {"a": [None]}, "when": datetime(2026, 3, 1, tzinfo=UTC), "source": "mail",
        "source_partition": 7, "source_offset": "x", "raw": "y", "header": None,
    }  # fmt: skip
    pl.DataFrame([{**GOOD, **kinds}]).write_parquet(folder / "odd.parquet")


def linked(folder: Path) -> None:
    far = folder.parent / "far"
    far.mkdir()
    (far / "a.JSONL").write_bytes(lines(*ROWS))
    (folder / "link").symlink_to(far)


def odd_values() -> bytes:
    changes = [{"event_time": "2026-03-01t00:00:60z"}, {"currency": "eur", "price": 1}, {"price": float("nan")},
               {"query": "\u202e\x1b[2J"}, {"user_id": "x" * 70_000}, {"user_agent": "(" * 70_000},
               {"event_time": "2026-02-30T00:00:00Z"}, {"quantity": 1e30}, {"event_id": None}]  # fmt: skip
    return lines(*(json.dumps({**GOOD, "event_id": f"o{n}", **change}).encode() for n, change in enumerate(changes)))


INPUTS: dict[str, tuple[Input, int]] = {
    "a stray quote": (one("a.csv", csv(b'27" monitor')), 20),
    "two stray quotes": (one("a.csv", csv(b'27" by 14"')), 20),
    "an open quote": (one("a.csv", csv(b'"never closed')), 20),
    "a line end in quotes": (one("a.csv", csv(b'"two\nlines"')), 20),
    "line ends of CR": (many({"a.csv": csv(end=b"\r"), "b.jsonl": lines(*ROWS, end=b"\r")}), 50),
    "line ends of CR LF": (many({"a.csv": csv(end=b"\r\n"), "b.jsonl": lines(*ROWS, end=b"\r\n")}), 50),
    "a last line without its end": (one("a.jsonl", lines(*ROWS, last=False)), 30),
    "a byte order mark": (many({n: b"\xef\xbb\xbf" + d for n, d in (("a.csv", csv()), ("b.jsonl", lines(*ROWS)))}), 50),
    "names of columns twice, and none": (one("a.csv", csv(header=TWICE)), 20),
    "an empty name of a column": (one("a.csv", csv(header=HEADER[:-5])), 20),
    "too many cells, and too few": (one("a.csv", csv(b"red,blue,green") + b"only one\n"), 21),
    "suffixes in capitals": (many({"A.CSV": csv(), "B.JSONL": lines(*ROWS), "C.JSONL.GZ": WHOLE}), 80),
    "a linked folder": (linked, 30),
    "a document of JSON": (one("a.json", json.dumps([GOOD]).encode() + b"\n"), 1),
    "hostile names": (many({f"{name}.jsonl": lines(*ROWS[:2]) for name in ("[a]", "a b%20", "ü{}*", "#?")}), 8),
    "types of Parquet": (parquet, 1),
    "odd values": (one("a.jsonl", odd_values()), 9),
    "a row that nobody can hold": (one("a.jsonl.gz", gzip.compress(lines(ROWS[0], b"x" * 30_000_000, ROWS[1]))), 3),
    "no text": (one("a.jsonl", lines(b"\xff\xfe", b"\x00", ROWS[0])), 3),
    "bad archives": (
        many({"a.jsonl.gz": WHOLE[:-9], "b.jsonl.gz": WHOLE + b"x", "c.jsonl.gz": b"", "d.jsonl.gz": WHOLE}),
        33,
    ),
    "bad Parquet": (many({"a.parquet": b"", "b.parquet": b"PAR1 PAR1", "c.jsonl": ROWS[0] + b"\n"}), 3),
    "an upload in progress": (later("a.jsonl.gz", WHOLE[:-9], WHOLE), 31),
    "a file that grows": (later("a.jsonl", lines(*ROWS[:7]) + ROWS[7][:9], lines(*ROWS)), 30),
    "a rotated log": (rotated, 30),
}  # fmt: skip
PUSH = ["an open quote", "bad archives", "an upload in progress"]


@pytest.mark.parametrize("name", nightly(INPUTS, PUSH))
def test_rows_in_are_good_or_dead_and_the_audit_finds_all_of_them(tmp_path, name):
    write, expected = INPUTS[name]
    folder = tmp_path / "in"
    folder.mkdir()
    shop = Shop(tmp_path / "shop", folder, ("--num_shards=2", "--progress=none"))
    made = write(folder)
    for _ in made if isinstance(made, Iterator) else ():
        status, said = shop.run_here()
        assert status == 0, said
    status, said = shop.run_here("--drain")
    assert status == 0, said
    tables = shop.tables()
    good, dead = tables.get("lake enriched_events"), tables.get("lake dead_letters")
    assert sum(frame.height for frame in (good, dead) if frame is not None) == expected
    status, out, err = command("pipelines.audit", str(shop.root / "checkpoint"))
    assert status == 0, out + err
    assert f"{expected:,} rows read, every one is accounted for" in out


@pytest.mark.night
@pytest.mark.parametrize("value", ["a b", "50%", "%20", "ü", "=", "a/b", ":", "2026-03-01T00:00:00"])
def test_partition_values_of_a_table_are_data(tmp_path, value):
    frame = pl.DataFrame([{**GOOD, "event_id": f"e{n}", "brand": value} for n in range(5)])
    for _ in range(2):
        write_deltalake(str(tmp_path / "t"), frame, mode="append", partition_by=["brand"])
    shop = Shop(tmp_path / "shop", tmp_path / "t", ("--num_shards=2", "--progress=none"))
    assert shop.run_here("--drain")[0] == 0
    assert set(shop.tables()["lake enriched_events"]["brand"]) == {value}
    assert command("pipelines.audit", str(shop.root / "checkpoint"))[0] == 0
