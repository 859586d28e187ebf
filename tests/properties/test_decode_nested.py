"""Nested rows: columns equal the reading of one row at a time, and a flat event that is written nested comes back."""

import json
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import decode_json
from ecompulse.kernels.decode.batch import all_of
from ecompulse.kernels.decode.json_rows import json_rows
from ecompulse.kernels.decode.nested.decoding import PARTS, decode_nested
from ecompulse.kernels.decode.plan import plan_for
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.mapping import parse_mapping
from support.examples import examples

NOW = 1_700_000_000_000

MAPPINGS = [
    """
    fields: {event_id: id, event_time: at, user_id: u.id, brand: [b, u.b, "l[0].b"], query: "p[key=q].v",
      url: "p[key=r].v.s"}
    constants: {event_type: search}
    """,
    """
    fields: {event_id: id, event_time: at, user_id: u.id}
    events:
      - {when: {op: [a, 1, true]}, explode: "l[]", constants: {event_type: purchase},
         fields: {product_id: "l[].b", quantity: "l[#]", properties: "l[].p"}}
      - {when: {op: [a, null]}, constants: {event_type: payment}, fields: {brand: {from: [b, id], join: "-"}}}
      - {when: {u.b: "*", op: b}, explode: "p[].v[]", constants: {event_type: search}, fields: {event_id: "p[].v[].s"}}
      - {when: otherwise, constants: {event_type: view}}
    skip: [{op: x}]
    """,
    """
    fields: {event_id: id, event_time: at, user_id: u, properties: u,
      brand: {from: b, map: {"1": one, x: null}, match: "(.)$"}}
    constants: {event_type: search}
    event_id: hash
    drop: [p.v, "l[1]"]
    """,
    """
    fields: {event_id: id, event_time: at, user_id: id,
      brand: {from: b, map: {x: y, "1": z}, unmapped: refuse, default: d}}
    constants: {event_type: search}
    drop: ["*"]
    """,
    """
    fields: {event_id: id, event_time: at, user_id: [id, u.id]}
    events:
      - {explode: "l[]", where: {"l[].b": [a, null, 1], "l[].id": "*"}, constants: {event_type: purchase},
         fields: {brand: "l[].id"}}
      - {when: {u.b: "*"}, explode: "p", where: {"p[].v.s": [x, 1.5, true]}, constants: {event_type: search}}
    skip: [otherwise]
    """,
    """
    format: {nulls: [x, "1"]}
    fields: {event_id: id, event_time: at, user_id: [u.id, u.b], category: {from: [b, u.s], join: "/"},
      brand: "l[0].b", query: "p[-1].v", url: "p[key=q].v.s"}
    events:
      - {when: {op: [a, b]}, explode: "l[]", constants: {event_type: purchase}, fields: {product_id: "l[].b"}}
      - {when: {op: a, u.b: "*"}, explode: "p[].v[]", constants: {event_type: search}}
      - {when: {op: a}, constants: {event_type: payment}}
      - {when: {op: [a, x]}, constants: {event_type: refund}}
    """,
]

scalar = st.sampled_from(
    [
        None,
        True,
        1,
        0,
        -7,
        1.5,
        1e30,
        12345678901234567890,
        "x",
        "",
        "a",
        "ä\n\"'\\",
        "1",
        "{",
        "[1]",
        '{"b": 2}',
        '\n{"b": 2}',
        "\t[1]",
    ]
)
leaf = scalar | st.lists(scalar, max_size=2)
inner = st.dictionaries(
    st.sampled_from(["id", "b", "v", "s", "key", "x.y", "control \x01"]),
    leaf | st.dictionaries(st.just("s"), scalar),
    max_size=3,
)
pair = st.fixed_dictionaries(
    {"key": st.sampled_from(["q", "r", 1, None]), "v": leaf | st.lists(inner, max_size=2) | inner}
)
row = st.fixed_dictionaries(
    {"id": st.sampled_from(["e1", 5, None]), "at": st.sampled_from(["2023-01-01T00:00:00Z", 1672531200000, "soon"])},
    optional={
        "u": inner | scalar,
        "b": leaf,
        "op": st.sampled_from(["a", 1, True, "b", "x", None, 2.5, ["a"]]),
        "l": st.lists(inner | leaf, max_size=3) | inner | scalar,
        "p": st.lists(pair | inner | scalar, max_size=3) | scalar,
        "b_2": scalar,
        "properties": inner | scalar,
        "x.y": scalar,
        "u.id": scalar,
        "l[0].b": leaf,
        "p[key=q].v.s": scalar,
    },
)  # fmt: skip
spoiled = st.sampled_from(
    [b"", b"[]", b'{"u":{"id":1,"id":2}}', b'{"id":"e","at":"2023-01-01","l":[NaN]}', b'{"p":[{"v":1,}]}', b"\xff"]
)


def frame(rows):
    columns = {"raw": rows, "source": "t", "source_partition": 0, "source_offset": range(10, 10 + len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def exactly(rows, mapping):
    """The same by the definition, which sees one row at a time."""
    plan = plan_for(mapping, NOW, typed=True)
    read = json_rows(rows, plan)
    return decode_nested(replace(read, suspects=all_of(value=True, height=rows.height)), plan)


@examples(200)
@given(st.lists(row.map(lambda found: json.dumps(found).encode()) | spoiled, max_size=6), st.sampled_from(MAPPINGS))
def test_columns_equal_the_reading_of_one_row_at_a_time(rows, text):
    mapping, given_rows = parse_mapping(text), frame(rows)
    found, wanted = decode_json(given_rows, NOW, mapping), exactly(given_rows, mapping)
    assert found.events.to_dicts() == wanted.events.to_dicts()
    assert found.dead.drop("seen_at").to_dicts() == wanted.dead.drop("seen_at").to_dicts()
    assert found.bare.to_list() == wanted.bare.to_list()
    assert (found.further, found.skipped) == (wanted.further, wanted.skipped)
    assert found.events.height - found.further + found.dead.height + found.skipped == len(rows)
    ids = found.events.select("source", "source_partition", "source_offset")
    assert ids.is_unique().all()
    for offset in found.dead["source_offset"]:
        assert not (found.events["source_offset"] // PARTS == offset).any() or not mapping.divides


EXPLODING = [
    """{explode: "l[]", where: {"l[].k": buy}, constants: {event_type: purchase}, fields: {product_id: "l[].p"}}""",
    """{explode: "l[]", constants: {event_type: purchase}, fields: {product_id: "l[].p"}}""",
    """{explode: "o.l[]", constants: {event_type: purchase}, fields: {product_id: "o.l[].p"}},
       {constants: {event_type: payment}}""",
    """{explode: "n[].l[]", constants: {event_type: purchase}, fields: {product_id: "n[].l[].p"}}""",
]
MANY = ",".join(f'"k{number}":1' for number in range(250))
"""Members of an object beyond those that become columns."""


@pytest.mark.parametrize("shapes", EXPLODING)
@pytest.mark.parametrize("odd", ["", ',"control \\u0001":1', f",{MANY}", ',"p":"twice"', ',"z":NaN', ',"z":1e999'])
def test_no_line_of_an_object_that_columns_do_not_show_is_lost(shapes, odd):
    mapping = parse_mapping(f"fields: {{event_id: id, event_time: at, user_id: u}}\nevents: [{shapes}]")
    line, other = f'{{"k":"buy","p":"p1"{odd}}}', '{"k":"buy","p":"p2"}'
    lists = [
        f'"l":[{line},{other}]',
        f'"o":{{"l":[{other}],"p":1{odd}}}',
        f'"n":[{{"l":[{other}],"p":1{odd}}},{{"l":[{other}]}}]',
    ]
    rows = frame([f'{{"id":"e","at":1672531200000,"u":"u",{found}}}'.encode() for found in [*lists, ",".join(lists)]])
    found, wanted = decode_json(rows, NOW, mapping), exactly(rows, mapping)
    assert found.events.to_dicts() == wanted.events.to_dicts()
    assert found.dead.drop("seen_at").to_dicts() == wanted.dead.drop("seen_at").to_dicts()
    assert (found.further, found.skipped) == (wanted.further, wanted.skipped)


@pytest.mark.parametrize("value", ["1.5", '"buy"'])
def test_a_row_that_turns_out_to_be_none_is_a_dead_letter(value):
    mapping = parse_mapping(f"fields: {{event_id: id, event_time: at, user_id: u}}\nevents: [{EXPLODING[0]}]")
    rows = frame([f'{{"id":"e","at":1672531200000,"u":"u","l":[{{"k":{value},"p":1}}],"z":{z}}}'.encode()
                  for z in ("1", "NaN", "1e999", '{"a":1,"a":2}')])  # fmt: skip
    rules = decode_json(rows, NOW, mapping).dead["rule"].to_list()
    first = [] if value == '"buy"' else ["no_event"]
    assert rules == [*first, "not_finite", "out_of_range", "duplicate_key"]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4)
KEYS = st.sampled_from(["a", "b", "c d", "e.f", "ü"])
HEADER = {
    "user_id": WORDS,
    "session_id": WORDS,
    "currency": st.sampled_from(["EUR", "USD"]),
    "url": WORDS,
    "tax": st.integers(0, 99),
}
LINE = {
    "product_id": WORDS,
    "price": st.decimals(0, 999, places=2).map(str),
    "quantity": st.integers(0, 99),
    "brand": WORDS,
}
place = st.lists(st.one_of(
    st.tuples(st.just("key"), KEYS), st.tuples(st.just("index"), st.sampled_from([0, 1, -1])),
    st.tuples(st.just("where"), KEYS), st.tuples(st.just("text"), KEYS),
), max_size=3)  # fmt: skip


def wrapped(value, steps):
    """A value within objects, lists, key-value lists and JSON in text, outermost step first."""
    for kind, name in reversed(steps):
        if kind == "key":
            value = {name: value}
        elif kind == "index":
            value = {0: [value, 7], 1: [None, value, 8], -1: ["x", value]}[name]
        elif kind == "where":
            value = [{"k": "other", "v": 1}, {"k": name, "v": value}]
        else:
            value = json.dumps({name: value})
    return value


def path_of(first, steps):
    text = first
    for kind, name in steps:
        quoted = f'."{name}"'
        text += {"key": quoted, "text": quoted, "index": f"[{name}]", "where": f'[k="{name}"].v'}[kind]
    return text


@examples(60)
@given(
    st.fixed_dictionaries(dict.fromkeys([*HEADER, *LINE], place)),
    st.lists(
        st.tuples(st.fixed_dictionaries(HEADER), st.lists(st.fixed_dictionaries(LINE), min_size=1, max_size=3)),
        min_size=1,
        max_size=4,
    ),
    place,
    st.integers(1, 4),
)
def test_an_event_that_is_written_nested_comes_back_in_any_cut(places, orders, at, cut):
    """A random schema: where each field is; random records; and the mapping that follows from it."""
    inner = [step for step in at if step[0] != "text"]
    list_path = f"{path_of('lines', inner)}[]"
    names = {name: number for number, name in enumerate([*HEADER, *LINE])}
    fields = {name: path_of(f"x{names[name]}", places[name]) for name in HEADER}
    lines = {name: path_of(f"{list_path}.x{names[name]}", places[name]) for name in LINE}
    text = json.dumps({
        "fields": {"event_id": "id", "event_time": "at", **fields},
        "constants": {"event_type": "purchase"},
        "events": [{"explode": list_path, "fields": lines}],
    })  # fmt: skip
    rows, wanted = [], []
    for number, (header, items) in enumerate(orders):
        row = {"id": f"o{number}", "at": 1_672_531_200_000, "color": "red"}
        row |= {f"x{names[name]}": wrapped(value, places[name]) for name, value in header.items()}
        inside = [{f"x{names[name]}": wrapped(value, places[name]) for name, value in item.items()} for item in items]
        rows.append(json.dumps(row | {"lines": wrapped(inside, inner)}).encode())
        flat = {"event_type": "purchase", "event_time": 1_672_531_200_000}
        wanted += [{"event_id": f"o{number}/{line}", **flat, **header, **item} for line, item in enumerate(items, 1)]
    mapping = parse_mapping(text)
    parts = [decode_json(frame(rows[start : start + cut]), NOW, mapping) for start in range(0, len(rows), cut)]
    assert not [message for part in parts for message in part.dead["message"]]
    found = pl.concat([part.events for part in parts])
    usual = decode_json(frame([json.dumps(event).encode() for event in wanted]), NOW, parse_mapping("{}"))
    columns = [*HEADER, *LINE, "event_id", "event_type", "event_time"]
    assert found.select(columns).equals(usual.events.select(columns))
    assert all("red" in properties for properties in found["properties"])
