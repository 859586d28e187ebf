"""A table read as CSV or as typed columns gives the events of the same table written as JSON."""

import csv
import io
import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Decoded, decode_columns, decode_csv, decode_json
from ecompulse.kernels.event import POSITION_SCHEMA, RAW_SCHEMA
from ecompulse.kernels.mapping import Mapping
from support.examples import examples

NOW = 1_700_000_000_000
LENIENT = Mapping()
COLUMNS = (
    "event_id",
    "event_type",
    "event_time",
    "user_id",
    "price",
    "quantity",
    "brand",
    "properties",
    "color",
    'od"d',
)

word = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=6)
digits = st.decimals(-(10**9), 10**9, places=3).map(str) | st.integers(-(10**20), 10**20).map(str)
cell = {
    "event_id": word,
    "event_type": st.sampled_from(["purchase", "view", ""]),
    "event_time": st.sampled_from(["2023-01-01T00:00:00Z", "1672531200000", "2023-01-01 05:00+05", "soon", ""]),
    "user_id": word,
    "price": digits | word | st.sampled_from(["NaN", " 5 ", "+5.", "1e3"]),
    "quantity": digits | st.sampled_from(["2.0", "2.5"]),
    "brand": word | st.sampled_from(['a,"b"', "x\ny", "\r"]),
    "properties": st.sampled_from(
        ["", '{"b":1,"a":[2.50]}', '{"color":1}', "{", "[]", '{"x":1,"x":2}', '{"n":12345678901234567890123}']
    ),
    "color": word,
    'od"d': word,
}  # fmt: skip
table = st.lists(st.fixed_dictionaries(cell), min_size=1, max_size=10)


def frame(rows: list[bytes]) -> pl.DataFrame:
    columns = {"raw": rows, "source": "t", "source_partition": 0, "source_offset": range(len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def record(values: list[str], quoting: int) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting).writerow(values)
    return out.getvalue().removesuffix("\r\n").encode()


def same(one: Decoded, other: Decoded) -> None:
    assert one.events.equals(other.events)
    columns = ["source_offset", "rule", "message"]
    assert one.dead.select(columns).rows() == other.dead.select(columns).rows()
    assert one.dead_times.equals(other.dead_times)


@examples(40)
@given(table, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_equals_json_of_texts(rows, quoting):
    header = record(list(COLUMNS), quoting).decode()
    records = [record([row[name] for name in COLUMNS], quoting) for row in rows]
    objects = [json.dumps({name: row[name] or None for name in COLUMNS}).encode() for row in rows]
    same(decode_csv(frame(records), header, NOW), decode_json(frame(objects), NOW, LENIENT))


@examples(40)
@given(st.data())
def test_fuzzed_records_never_raise_and_none_is_lost(data):
    tricky = st.text('a,"\r\n\\é', max_size=12).map(str.encode)
    rows = data.draw(st.lists(st.binary(max_size=12) | tricky, max_size=12))
    decoded = decode_csv(frame(rows), "event_id,color", NOW, Mapping(event_id="hash"))
    assert decoded.dead["raw"].to_list() == rows
    lone = [read(row) for row in rows]
    assert [rule == "broken_csv" for rule in decoded.dead["rule"]] == [found is None for found in lone]


def read(raw: bytes) -> list[str] | None:
    """Two columns by the standard library; a row that is not UTF-8 is not its business."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return []
    try:
        values = list(csv.reader([text.removesuffix("\n").removesuffix("\r")], strict=True))
    except csv.Error:
        return None
    return values[0] if len(values) == 1 and len(values[0]) == 2 else None


@examples(40)
@given(
    table,
    st.lists(st.floats(width=64) | st.none(), min_size=10, max_size=10),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=10, max_size=10),
)
def test_columns_equal_json_of_the_same_values(rows, floats, integers):
    for number, row in enumerate(rows):
        row.update(price=floats[number], quantity=integers[number], weight=floats[-1 - number], rank=integers[number])
    types = {"price": pl.Float64(), "quantity": pl.Int64(), "weight": pl.Float64(), "rank": pl.Int64()}
    schema = {name: types.get(name, pl.String()) for name in (*COLUMNS, "weight", "rank")}
    typed = pl.DataFrame(rows, schema=schema)
    position = frame([b""] * len(rows)).select(POSITION_SCHEMA.names())
    objects = [json.dumps(row).encode() for row in rows]
    one, other = decode_columns(typed.hstack(position), NOW), decode_json(frame(objects), NOW, LENIENT)
    assert one.events.equals(other.events)
    assert one.dead.select("source_offset", "rule").rows() == other.dead.select("source_offset", "rule").rows()
