"""Parquet rows of any type and any column name become events, or a dead letter that keeps them."""

import datetime as dt
import json
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecompulse.io.files.source import FileSource
from ecompulse.kernels.decode import decode
from ecompulse.kernels.mapping import Mapping

NOW = 1_900_000_000_000
MOMENT = dt.datetime(2026, 3, 1, 1, 2, 3, 456789)  # noqa: DTZ001  # with a zone where one is wanted
LATER = MOMENT.replace(tzinfo=dt.UTC)
WHOLE = "2026-03-01T01:02:03"
EVENT = {"event_id": "a", "event_type": "search", "event_time": "2026-03-01T00:00:00Z", "user_id": "u"}
KEPT = [
    (pa.null(), None, None),
    (pa.bool_(), True, True),
    *((kind, 7, 7) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *((kind, 7, 7) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    *((kind, 1.5, 1.5) for kind in (pa.float16(), pa.float32(), pa.float64())),
    *((kind, "é", "é") for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *((kind, b"abc", "abc") for kind in (pa.binary(), pa.large_binary(), pa.binary(3), pa.binary_view())),
    (pa.date32(), dt.date(2026, 3, 1), "2026-03-01"),
    (pa.date64(), dt.date(2026, 3, 1), "2026-03-01T00:00:00.000"),
    *((pa.time32(unit), dt.time(1, 2, 3), "01:02:03") for unit in ("s", "ms")),
    *((pa.time64(unit), dt.time(1, 2, 3), "01:02:03") for unit in ("us", "ns")),
    *((pa.timestamp(unit), MOMENT.replace(microsecond=0), f"{WHOLE}.000") for unit in ("s", "ms", "us", "ns")),
    (pa.timestamp("us"), MOMENT, "2026-03-01T01:02:03.456789"),
    (pa.timestamp("us", "Europe/Paris"), MOMENT.replace(tzinfo=dt.UTC), "2026-03-01T01:02:03.456789Z"),
    (pa.timestamp("ns", "+02:00"), MOMENT.replace(tzinfo=dt.UTC), "2026-03-01T01:02:03.456789000Z"),
    *((pa.timestamp("us", zone), LATER, "2026-03-01T01:02:03.456789Z") for zone in ("+05:30", "No/Where")),
    (pa.list_(pa.timestamp("us", "+05:30")), [LATER], [str(LATER)]),
    (pa.struct([("t", pa.timestamp("us", "+05:30"))]), {"t": LATER}, {"t": str(LATER)}),
    (pa.map_(pa.string(), pa.timestamp("us", "+05:30")), [("k", LATER)], {"k": str(LATER)}),
    *((pa.duration(unit), dt.timedelta(seconds=90), "PT1M30S") for unit in ("s", "ms", "us", "ns")),
    (pa.decimal32(5, 2), Decimal("1.50"), 1.5),
    (pa.decimal64(12, 2), Decimal("1.50"), 1.5),
    (pa.decimal128(38, 4), Decimal("1.5"), 1.5),
    (pa.decimal256(70, 2), Decimal("1.50"), "1.50"),
    (pa.list_(pa.decimal256(50, 1)), [Decimal(10**40)], [f"{10**40}.0"]),
    (pa.list_(pa.int8()), [1], [1]),
    (pa.large_list(pa.string()), ["a"], ["a"]),
    (pa.list_(pa.int8(), 2), [1, 2], [1, 2]),
    (pa.list_(pa.time32("s")), [dt.time(1)], ["01:00:00"]),
    (pa.struct([("d", pa.duration("s"))]), {"d": dt.timedelta(1)}, {"d": "1 day, 0:00:00"}),
    (pa.struct([("b", pa.binary())]), {"b": b"x"}, {"b": "x"}),
    (pa.map_(pa.string(), pa.int8()), [("k", 1)], {"k": 1}),
    (pa.dictionary(pa.int8(), pa.string()), "x", "x"),
    (pa.dictionary(pa.int32(), pa.int64()), 5, 5),
    (pa.uuid(), b"0" * 16, "0" * 16),
    (pa.json_(pa.string()), "[1]", "[1]"),
]  # fmt: skip


def read(path, mapping=None):
    source = FileSource(str(path), 0)
    frames = [batch for split in source.plan({}, 10, {}, whole=False).splits for batch in source.reader().read(split)]
    return decode(pl.concat(frames), NOW, mapping)


@pytest.mark.parametrize(("kind", "value", "kept"), KEPT, ids=[f"{kind}-{n}" for n, (kind, *_) in enumerate(KEPT)])
def test_a_column_of_any_type_is_kept_or_dropped(tmp_path, capfd, kind, value, kept):
    rows = {name: pa.array([text] * 2) for name, text in EVENT.items()}
    column = (
        pa.array([value, None], kind)
        if not isinstance(kind, pa.DictionaryType)
        else pa.array([value, None], kind.value_type).dictionary_encode()
    )
    pq.write_table(pa.table({**rows, "x": column}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet").events["properties"]
    assert [json.loads(text)["x"] if text else None for text in found] == [kept, None]
    dropped = read(tmp_path / "a.parquet", Mapping(drop=("x",))).events
    assert dropped["properties"].null_count() == dropped.height == 2
    assert capfd.readouterr().err == ""


def test_a_range_of_a_file_that_polars_cannot_read(tmp_path):
    path = tmp_path / "a.parquet"
    rows = pa.table({"n": range(10), "x": pa.array([[n] for n in range(10)], pa.list_view(pa.int8()))})
    pq.write_table(rows, path, row_group_size=3)
    source, found, positions = FileSource(str(path), 0), [], {}
    while (backlog := source.plan(positions, 4, {}, whole=False)).splits:
        found += [row for split in backlog.splits for batch in source.reader().read(split) for row in batch.rows()]
        positions.update(backlog.positions)
    assert [row[:2] for row in found] == [(n, [n]) for n in range(10)]


def test_columns_may_have_any_name(tmp_path):
    own = (
        "source",
        "source_partition",
        "source_offset",
        "raw",
        "header",
        "length",
        "\x00source",
        "_row",
        "v",
        "a b",
        "",
        "c0",
        "é'\"",
    )
    columns = {name: [f"value of {name}"] for name in own}
    pl.DataFrame({**{name: [text] for name, text in EVENT.items()}, **columns}).write_parquet(tmp_path / "a.parquet")
    [text] = read(tmp_path / "a.parquet").events["properties"]
    assert json.loads(text) == {name: value for name, [value] in columns.items()}


def test_columns_with_names_of_positions_can_be_mapped(tmp_path):
    pl.DataFrame({**{name: [text] for name, text in EVENT.items()}, "source": ["mail"], "raw": [b"q"]}).write_parquet(
        tmp_path / "a.parquet"
    )
    events = read(tmp_path / "a.parquet", Mapping(fields={"referrer": "source", "query": "raw"})).events
    assert events.select("referrer", "query", "source").rows() == [("mail", "q", str(tmp_path / "a.parquet"))]
