"""The native pass gives what the exact decoder gives of each row, or calls it a suspect; and so do whole batches."""

import json
import sys
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Decoded, native
from ecompulse.kernels.decode.assemble import assemble
from ecompulse.kernels.decode.batch import Batch
from ecompulse.kernels.decode.json_rows import few_json_rows, json_batch, pure_json_batch
from ecompulse.kernels.decode.plan import Plan, plan_for
from ecompulse.kernels.decode.row_decoder import Record
from ecompulse.kernels.decode.strict_json import canonical
from ecompulse.kernels.event import MAX_FIELD_BYTES, MAX_ROW_BYTES, RAW_SCHEMA
from ecompulse.kernels.mapping import parse_mapping
from support.examples import examples
from support.json_rows import json_rows
from support.native import needs_native, switched

pytestmark = needs_native

NOW = 1_700_000_000_000
EVENT = plan_for(None, NOW, typed=True)
GOOD = b'{"event_id":"e","event_type":"purchase","event_time":"2023-01-01T00:00:00Z","user_id":"u"'


def frame(rows: list[bytes | None]) -> pl.DataFrame:
    columns = {"raw": rows, "source": "t", "source_partition": 0, "source_offset": range(len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def scanned(rows: list[bytes | None], plan: Plan = EVENT) -> Batch:
    with switched("1"):
        batch = json_batch(frame(rows), plan)
    assert batch.merged is not None  # it was the native pass
    return batch


def merged(record: Record) -> str | None:
    """Unknown fields and `properties` as one, the plain way."""
    if record.properties is None and not record.unknown:
        return None
    inner = record.properties or {}
    assert isinstance(inner, dict)
    assert not inner.keys() & record.unknown.keys()
    return canonical({**inner, **record.unknown})


def check(rows: list[bytes | None], plan: Plan = EVENT) -> Batch:
    """Each row that is no suspect is what the exact decoder says; frames are equal to those of the pure way."""
    batch = scanned(rows, plan)
    for row, suspect in enumerate(batch.suspects):
        if suspect:
            assert all(cells.text[row] is None and not cells.quoted[row] for cells in batch.cells.values())
            assert batch.merged[row] is None
            continue
        record = batch.record(row)
        found = {name: cells.at(row) for name, cells in batch.cells.items()}
        assert plan.constants | {name: cell for name, cell in found.items() if cell} == record.cells
        assert batch.merged[row] == merged(record)
    equal(assemble(batch, plan), assemble(pure_json_batch(frame(rows), plan), plan))
    return batch


def equal(one: Decoded, other: Decoded) -> None:
    assert one.events.equals(other.events)
    assert one.dead.equals(other.dead)
    assert one.dead_times.equals(other.dead_times)
    assert one.bare.equals(other.bare)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A row with some of its bytes changed, put in, or taken out."""
    raw = bytearray(draw(json_rows()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        odd = st.sampled_from(
            [b",", b'"', b"}", b"{", b"[", b"]", b"\\", b"\\u", b"\\ud800", b"\x1f", b"\xff", b"0", b"e", b":", b"\n"]
        )
        raw[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2) | odd)
    return bytes(raw)


@examples(200)
@given(st.lists(st.none() | st.binary(max_size=30) | json_rows() | mutated(), min_size=1, max_size=12))
def test_any_bytes_are_what_the_exact_decoder_says(rows):
    check(rows)


number = (
    st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.builds(
        "{}{}.{}".format,
        st.sampled_from(["", "-"]),
        st.integers(0, 10**20),
        st.from_regex("[0-9]{1,25}", fullmatch=True),
    )
    | st.builds(
        "{}{}e{}".format,
        st.integers(-99, 10**18),
        st.sampled_from(["", ".0", ".50", ".12345678901234567"]),
        st.integers(-330, 310),
    )
    | st.integers().map(str)
    | st.integers(1, 320).map(lambda length: "7" * length)
)


@examples(300)
@given(st.lists(number, min_size=1, max_size=20))
def test_numbers_are_as_they_were_written_in_fields_and_as_python_writes_them_elsewhere(numbers):
    check(
        [GOOD + f',"price":{one},"quantity":{one},"x":{one},"properties":{{"y":[{one}]}}}}'.encode() for one in numbers]
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@examples(150)
@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(max_size=3), anything, max_size=4), st.booleans()), min_size=1, max_size=6
    ),
    st.sampled_from([None, 1]),
)
def test_objects_of_any_unicode_and_depth(objects, indent):
    rows = []
    for inner, ascii_only in objects:
        whole = {**json.loads(GOOD + b"}"), "properties": inner, "nested": inner, "brand": next(iter(inner), "")}
        rows.append(json.dumps(whole, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass"))
    check(rows)


def test_what_is_common_is_not_suspect():
    common: list[dict[str, Any]] = [
        {"brand": 'a "quoted"\n text \u00e9 \U0001f600', "price": 1.5, "quantity": 2},
        {"properties": {"a": [1, 2.5, {"b": None}], "c": "\\"}, "new": {"z": 1, "a": 2}, "other": None},
        {"price": None, "properties": None, "": 0, "big": 2**70, "small": 1e-9},
    ]
    rows: list[bytes | None] = []
    for fields in common:
        event = {**json.loads(GOOD + b"}"), **fields}
        rows += [json.dumps(event).encode(), json.dumps(event, ensure_ascii=False, indent=2).encode() + b"\r\n"]
    assert not check(rows).suspects.any()


ODD = [
    None,
    b"",
    b"{}",
    GOOD + b"}}",
    GOOD + b",}",
    GOOD + b',"user_id":"v"}',
    GOOD + b',"x":1,"x":1}',
    GOOD + b',"x":{"a":1,"b":2,"a":3}}',
    GOOD + b',"properties":{"x":1},"x":2}',
    GOOD + b',"properties":{"x":1},"x":null}',
    GOOD + b',"x":null,"x":1}',
    GOOD + b',"properties":"{}"}',
    GOOD + b',"us\\u0065r_id":"v"}',
    GOOD + b',"price":1e400}',
    GOOD + b',"x":-1e400}',
    GOOD + b',"x":NaN}',
    GOOD + b',"price":' + b"9" * 5000 + b"}",
    GOOD + b',"x":' + b"9" * 5000 + b"}",
    GOOD + b',"x":' + b"[" * 63 + b"]" * 63 + b"}",
    GOOD + b',"x":' + b"[" * 99 + b"]" * 99 + b"}",
    GOOD + b',"x":' + b"[" * 100 + b"]" * 100 + b"}",
    GOOD + b',"x":' + b'{"a":' * 50_000 + b"}",
    GOOD + b',"x":"' + b"x" * (MAX_FIELD_BYTES - 8) + b'"}',
    GOOD + b',"x":"' + b"x" * (MAX_FIELD_BYTES - 7) + b'"}',
    GOOD + b',"brand":"' + b"x" * MAX_FIELD_BYTES + b'"}',
    GOOD + b',"brand":"' + b"x" * (MAX_FIELD_BYTES + 1) + b'"}',
    GOOD + b',"x":"' + b"\\u0000" * 20_000 + b'"}',
    GOOD + b" " * (MAX_ROW_BYTES - len(GOOD) - 1) + b"}",
    GOOD + b" " * (MAX_ROW_BYTES - len(GOOD)) + b"}",
    b"\xef\xbb\xbf" + GOOD + b"}",
    GOOD + b',"brand":"\xed\xa0\x80"}',
    GOOD + b',"brand":"\\ud800"}',
    GOOD + b',"brand":"\\ud83d\\ude00\\u0000"}',
    GOOD + b',"price":-0,"quantity":-0,"x":-0,"y":-0.0}',
]


@pytest.mark.parametrize("rows", [*([row] for row in ODD), ODD, []])
def test_odd_rows(rows):
    check(rows)


RENAMED = """
fields: {event_id: uid, price: x, brand: y}
drop: [event_type, a, properties]
constants: {event_type: view}
event_id: hash
"""
MAPPINGS = (
    RENAMED,
    "lenient: true",
    "lenient: true\nfields: {price: properties, brand: price}",
    "values: {currency: [EUR]}\nminor_digits: {price: 2}",
)


@pytest.mark.parametrize("mapping", MAPPINGS, ids=range(len(MAPPINGS)))
@examples(40)
@given(rows=st.lists(json_rows(), min_size=1, max_size=8))
def test_any_mapping(mapping, rows):
    check(rows, plan_for(parse_mapping(mapping), NOW, typed=True))


def test_rows_in_chunks_and_slices():
    rows = [GOOD + f',"x":{number}}}'.encode() for number in range(40)]
    whole = pl.concat([frame(rows[:7]), frame(rows[7:])], rechunk=False).slice(3, 30)
    with switched("1"):
        batch = json_batch(whole, EVENT)
    assert batch.merged is not None
    assert batch.merged.to_list() == [f'{{"x":{number}}}' for number in range(3, 33)]


def test_money_never_goes_through_a_double():
    [cell] = scanned([GOOD + b',"price":0.10000000000000000000000000000000001}']).cells["price"].text
    assert Decimal(cell) == Decimal("0.10000000000000000000000000000000001")


def test_columns_do_not_keep_the_rows_alive():
    rows = frame([GOOD + f',"x":"{"y" * 1000}","brand":"{number}"}}'.encode() for number in range(100)])
    with switched("1"):
        found = native.scan(rows["raw"], EVENT)
    assert found.cells["brand"].text.estimated_size() < 10_000


def test_a_fault_of_the_module_is_an_exception(capfd):
    module = sys.modules["ecompulse_native"]
    with pytest.raises(RuntimeError, match="on purpose"):
        module.fail()
    capfd.readouterr()
    with pytest.raises(ValueError, match="fewer rows"):
        module.scan_rows((None, bytes(8), b""), (0, 2), [], [], (None, None), (1, 1))
    absent = module.scan_rows((None, bytes(7) + b"\x7f" + bytes(8), b""), (0, 1), [], [], (None, None), (1, 1))
    assert absent[3] == b"\x01"  # offsets that are no offsets


def test_without_it_or_with_few_rows_the_pure_way_decides():
    with switched("0"):
        assert not native.scans(EVENT)
        assert json_batch(frame([GOOD + b"}"]), EVENT).merged is None
    assert few_json_rows(frame([GOOD + b"}"]), EVENT).merged is None
