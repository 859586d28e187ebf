"""Nested rows, case by case: what of a row is kept, and which element a path means."""

import json
from typing import Any

import polars as pl
import pytest

from ecompulse.kernels.decode import decode_json
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.mapping import load_mapping, parse_mapping

NOW = 1_750_000_000_000
FIELDS = "fields: {event_id: id, event_type: kind, event_time: at, user_id: u}\n"
LINES = [{"sku": "a", "cur": "EUR", "k": "x"}, {"sku": "b", "cur": "USD", "k": "y"}]


def events(mapping: str, **row: object) -> list[dict[str, Any]]:
    """The events of a row, in columns and exactly."""
    usual = {"id": "r", "kind": "view", "at": 1_714_557_600_000, "u": "u"}
    columns = {"source": "t", "source_partition": 0, "source_offset": [0]}
    odd = {"no column for": {"control \x01": 1}}
    read = load_mapping(mapping) if mapping.isidentifier() else parse_mapping(mapping)
    found = [
        decode_json(pl.DataFrame({"raw": [json.dumps(given).encode()], **columns}, schema=RAW_SCHEMA), NOW, read)
        for given in ({**usual, **row}, {**usual, **row, **odd})
    ]
    assert [message for part in found for message in part.dead["message"]] == []
    plain, exact = (part.events.drop("properties", "event_id").to_dicts() for part in found)
    assert plain == exact
    return found[0].events.to_dicts()


def kept(event: dict[str, Any]) -> Any:
    return json.loads(event["properties"] or "{}")


@pytest.mark.parametrize(
    ("shapes", "keeps"),
    [
        ("{when: {kind: buy}, explode: 'lines[]'}, {when: otherwise}", True),
        ("{when: {kind: buy}, explode: 'lines[]'}, {when: {kind: [view, buy]}}", True),
        ("{when: {kind: [buy, view]}, explode: 'lines[]'}, {when: {kind: view}}", False),
        ("{when: {kind: '*'}, explode: 'lines[]'}, {when: {kind: view, u: '*'}}", False),
        ("{explode: 'lines[]'}, {when: {kind: view}}", False),
    ],
)
def test_a_list_of_which_nothing_is_made_in_this_row_is_kept(shapes, keeps):
    found = events(f"{FIELDS}events: [{shapes}]", lines=LINES)
    assert kept(found[-1]).get("lines") == (LINES if keeps else None)
    assert len(found) == (1 if keeps else 3)


def test_lines_that_give_no_event_are_kept_beside():
    shapes = "{explode: 'lines[]', where: {'lines[].k': x}, fields: {product_id: 'lines[].sku'}}, {when: {kind: view}}"
    line, beside = events(f"{FIELDS}events: [{shapes}]", lines=LINES)
    assert (line["product_id"], kept(beside)["lines"]) == ("a", LINES)


def test_products_of_a_list_that_is_looked_at_stay_with_the_event():
    properties = {"list_id": "l", "products": [{"product_id": "p1"}, {"product_id": "p2"}]}
    row = {"messageId": "m", "type": "track", "event": "Product List Viewed", "timestamp": "2024-05-01T10:00:00Z"}
    [event] = events("segment", **row, userId="u7", properties=properties)
    assert kept(event)["products"] == properties["products"]


@pytest.mark.parametrize("name", ["a.b", "items[0].sku", "p[key=q].v"])
def test_a_key_that_is_called_as_a_path_comes_first(name):
    found = events(f"{FIELDS[:-2]}, brand: '{name}'}}", **{name: "x"})
    assert [(event["brand"], kept(event)) for event in found] == [("x", {})]


@pytest.mark.parametrize(("path", "currency"), [("[0]", "EUR"), ("[-1]", "USD"), ("[k=y]", "USD"), ("[7]", None)])
def test_an_element_of_the_list_that_is_exploded_can_be_named(path, currency):
    mapping = (
        f"{FIELDS}events: [{{explode: 'lines[]', fields: {{product_id: 'lines[].sku', currency: 'lines{path}.cur'}}}}]"
    )
    found = events(mapping, lines=LINES)
    assert [(event["product_id"], event["currency"]) for event in found] == [("a", currency), ("b", currency)]


@pytest.mark.parametrize(
    ("source", "order"),
    [("[a, b]", "O1"), ("{from: [a, b], join: '-'}", None), ("{from: [b, c], join: '-'}", "O1-7"), ("[a]", None)],
)
def test_a_word_for_nothing_is_absent_before_paths_are_chosen_or_joined(source, order):
    mapping = f"format: {{nulls: [(not set)]}}\n{FIELDS[:-2]}, order_id: {source}}}\nevents: [{{}}, {{}}]"
    found = events(mapping, a="(not set)", b="O1", c=7)
    assert [event["order_id"] for event in found] == [order, order]
