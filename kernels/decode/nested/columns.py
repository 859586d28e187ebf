"""What is wanted of a batch of rows, taken from columns of JSON text; equals `exact`, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.decode import duckdb_json
from ecompulse.kernels.decode.batch import all_of, nothing
from ecompulse.kernels.decode.json_rows import ODD, cells_of
from ecompulse.kernels.decode.object_members import members_of
from ecompulse.kernels.decode.properties import join_objects
from ecompulse.kernels.foreign.paths import EACH, NUMBER, Node, Step

_NOT_FINITE: Final = r"[:\[,]\s*-?(?i:nan|inf(?:inity)?)\s*[,}\]]"
_EMPTY: Final = ("{}", "[]")


@dataclass
class Taken:
    """What was taken of the rows, each a column with as many rows.

    Attributes:
        values: JSON text by target; null where absent.
        bag: what is left of the object that feeds `properties`, or None.
        suspects: rows of which none of this may be believed.
        lists: what is wanted of the lines of a list, and the list.
        keeps: whether anybody asks for what is left.
    """

    suspects: pl.Series
    values: dict[str, pl.Series] = field(default_factory=dict)
    bag: pl.Series | None = None
    lists: tuple[Node, pl.Series] | None = None
    keeps: bool = True


def take(node: Node, text: pl.Series, taken: Taken) -> pl.Series | None:
    """Take what is wanted of values (JSON text, null where absent); what is left of them, None for nothing."""
    if node.scalar:
        inside = text.str.contains(r"^[{\[]").fill_null(value=False)
        scalars, rest = _parted(text, ~inside), _parted(text, inside)
        taken.values |= dict.fromkeys(node.targets, scalars)
        return _or_none(rest)
    taken.values |= dict.fromkeys(node.targets, text)
    left = _within(node, text, taken) if node.children else text
    if node.bag and left is not None:
        opened = _opened(left, taken)
        objects = opened.str.starts_with("{").fill_null(value=False)
        taken.bag = _parted(opened, objects)
        left = _or_none(_parted(left, ~objects))
    return left if node.keeps else None


def _within(node: Node, text: pl.Series, taken: Taken) -> pl.Series | None:
    opened = _opened(text, taken)
    objects = opened.str.starts_with("{").fill_null(value=False)
    lists = opened.str.starts_with("[").fill_null(value=False)
    keys = {step.name: child for step, child in node.children.items() if step.kind == "key"}
    steps = [step for step in node.children if step.kind in {"index", "where"}]
    parts: list[pl.Series | None] = []
    if keys and objects.any():
        parts.append(_members(keys, _parted(opened, objects & (opened != "{}")), taken))
    each = EACH in node.children or NUMBER in node.children
    if steps and lists.any():
        left_in_lists = _elements(node, steps, _parted(opened, lists), taken)
        parts += [] if each else [left_in_lists]  # a line keeps what is left of it
    if each:
        taken.lists = node, _parted(opened, lists)
    if taken.keeps:
        into_lists = bool(steps) or each
        gone = objects if keys and not into_lists else lists if into_lists and not keys else objects | lists
        left = text.is_not_null() & ~gone
        parts += [_parted(text, left)] if left.any() else []
    kept = [part for part in parts if part is not None and part.null_count() < part.len()]
    return pl.select(pl.coalesce(kept)).to_series() if kept else None


def _members(keys: dict[str, Node], objects: pl.Series, taken: Taken) -> pl.Series | None:
    found = members_of(objects, keep_null=False)
    taken.suspects |= found.suspects
    left = left_of(keys, found.columns, taken)
    return join_objects(left, has=all_of(value=False, height=objects.len())) if left and taken.keeps else None


def left_of(keys: dict[str, Node], columns: dict[str, pl.Series], taken: Taken) -> dict[str, pl.Series]:
    """Take what is wanted of members; what is left of each of which anything is."""
    left: dict[str, pl.Series] = {}
    for key, column in columns.items():
        rest = take(keys[key], column, taken) if key in keys else column
        if rest is not None:
            left[key] = rest
    return left


def _elements(node: Node, steps: list[Step], lists: pl.Series, taken: Taken) -> pl.Series | None:
    height = lists.len()
    items = elements(lists)
    texts = items["text"]
    said = {name: _said(items, name) for name in dict.fromkeys(step.name for step in steps if step.kind == "where")}
    for step in steps:
        at = items.filter(_mask(step, items, said)).unique("row", keep="first", maintain_order=True)
        column = _scattered(at.with_columns(text=pl.when(pl.col("text") != "null").then("text")), height)
        rest = take(node.children[step], column, taken)
        left = nothing(at.height) if rest is None else rest.gather(at["row"])
        texts = texts.scatter(at["item"], left)
    if not taken.keeps:
        return None
    kept = items.with_columns(text=texts).drop_nulls("text").group_by("row", maintain_order=True)
    joined = kept.agg(pl.col("text").str.join(","))
    joined = joined.with_columns(text=pl.lit("[") + pl.col("text") + pl.lit("]"))
    return _scattered(joined, height) if joined.height else None


def elements(lists: pl.Series) -> pl.DataFrame:
    """The elements of lists (JSON text): `row`, `at` in it, `count` of all in it, `text`, and their number, `item`."""
    found = duckdb_json.elements(lists)
    frame = pl.DataFrame({"row": pl.int_range(lists.len(), eager=True, dtype=pl.Int64), "text": found})
    frame = frame.drop_nulls("text").filter(pl.col("text").list.len() > 0)
    count, at = pl.col("text").list.len().cast(pl.Int64), pl.int_ranges(0, pl.col("text").list.len())
    frame = frame.with_columns(count=count, at=at).explode("text", "at")
    return frame.with_columns(item=pl.int_range(frame.height, eager=True, dtype=pl.Int64))


def _said(items: pl.DataFrame, name: str) -> pl.Series:
    """What a key of elements that are objects holds, as text."""
    objects = _parted(items["text"], items["text"].str.starts_with("{"))
    [value] = duckdb_json.values(objects, [name])
    return cells_of({"said": value})["said"].text


def _mask(step: Step, items: pl.DataFrame, said: Mapping[str, pl.Series]) -> pl.Series:
    if step.kind == "index":
        wanted = int(step.value)
        place = pl.col("at") if wanted >= 0 else pl.col("at") - pl.col("count")
        return items.select(place == wanted).to_series()
    return (said[step.name] == str(step.value)).fill_null(value=False)


def _scattered(found: pl.DataFrame, height: int) -> pl.Series:
    return nothing(height).scatter(found["row"], found["text"])


def _opened(text: pl.Series, taken: Taken) -> pl.Series:
    """Values, or the objects and lists that texts hold."""
    strings = text.str.contains(r'^"(?: |\\[tnr])*[{\[]').fill_null(value=False)
    if not strings.any():
        return text
    inner = duckdb_json.unescaped(_parted(text, strings)).str.strip_chars(" \t\r\n")
    taken.suspects |= strings & (inner.str.contains(ODD) | inner.str.contains(_NOT_FINITE)).fill_null(value=True)
    valid = strings & duckdb_json.are_valid(inner)
    return inner.zip_with(valid, text)


def _parted(text: pl.Series, where: pl.Series) -> pl.Series:
    return text if where.all() else text.zip_with(where, nothing(text.len()))


def _or_none(text: pl.Series) -> pl.Series | None:
    return None if text.null_count() == text.len() else text
