"""Avro schemas made ready: references put in, and types that Polars and JSON have in place of those they do not."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import polars as pl

KEY, ITEM = "key", "value"
_MOST_TYPES: Final = 5_000  # that a schema without references may have
_DIGITS: Final = 38  # of a decimal that a column holds
_PARTS: Final = ("type", "items", "values")
_PRIMITIVES: Final = frozenset(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])


class NoColumns(ValueError):  # noqa: N818  # of a schema
    """No column holds values of a type."""


def inlined(schema: Any, named: Mapping[str, Any]) -> Any:
    """A schema in which each type of other schemas stands where it is first used.

    Args:
        schema: parsed JSON.
        named: the other schemas by full name; types inside them have names, too.
    """
    known = dict(named)
    for other in named.values():
        _collect(other, "", known)
    return _inlined(schema, known, set(), "")


def _collect(schema: Any, space: str, known: dict[str, Any]) -> Any:
    """Add the named types of a schema by full name."""
    if isinstance(schema, list):
        return [_collect(part, space, known) for part in schema]
    if isinstance(schema, dict):
        if "name" in schema:
            full, space = _named(schema, space)
            known.setdefault(full, {**schema, "namespace": space})
        _within(schema, lambda part: _collect(part, space, known))
    return schema


def _inlined(schema: Any, known: Mapping[str, Any], seen: set[str], space: str) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, known, seen, space) for part in schema]
    if isinstance(schema, str):
        full = _full(schema, space, known)
        return schema if full is None or full in seen else _inlined(known[full], known, seen, space)
    if not isinstance(schema, dict):
        return schema
    if "name" in schema:
        full, space = _named(schema, space)
        if full in seen:  # two references define it
            return full
        seen.add(full)
        schema = {**schema, "namespace": space}
    return _within(schema, lambda part: _inlined(part, known, seen, space))


def expanded(schema: Any) -> Any:
    """A schema without names: each type stands wherever it is used.

    Raises:
        NoColumns: a type holds itself, or there are too many.
    """
    return _expanded(schema, {}, (), "", itertools.count())


def _expanded(schema: Any, types: dict[str, Any], around: tuple[str, ...], space: str, count: Iterator[int]) -> Any:
    if isinstance(schema, list):
        return [_expanded(part, types, around, space, count) for part in schema]
    if isinstance(schema, str):
        full = _full(schema, space, types)
        if full in around:
            raise NoColumns(f"{schema} holds itself")
        return schema if full is None else _expanded(types[full], types, around, space, count)
    if not isinstance(schema, dict):
        return schema
    if next(count) > _MOST_TYPES:
        raise NoColumns(f"it has more than {_MOST_TYPES:,} types")
    if "name" in schema:
        full, space = _named(schema, space)
        types[full] = {**schema, "namespace": space}
        around = (*around, full)
    return _within(schema, lambda part: _expanded(part, types, around, space, count))


def _within(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A type with the types that it is made of changed."""
    found = {key: change(part) if key in _PARTS else part for key, part in schema.items()}
    if "fields" in found:
        found["fields"] = [{**each, "type": change(each["type"])} for each in schema["fields"]]
    return found


def _named(schema: Mapping[str, Any], space: str) -> tuple[str, str]:
    """The full name of a type, and the namespace of what it holds."""
    before, _, _ = schema["name"].rpartition(".")
    space = before or schema.get("namespace", space) or ""
    return (schema["name"] if before or not space else f"{space}.{schema['name']}"), space


def _full(name: str, space: str, known: Mapping[str, Any]) -> str | None:
    """The full name of a known type by a name that may be short; None of a primitive or unknown one."""
    if name in _PRIMITIVES:
        return None
    full = name if "." in name or not space else f"{space}.{name}"
    return next((each for each in (full, name) if each in known), None)


def readable(schema: Any) -> Any:
    """An expanded schema in types that Polars reads from the same bytes: a map is a list of pairs, an enum its number.

    Raises:
        NoColumns: a type has no column.
    """
    return _readable(schema, itertools.count())


def _readable(schema: Any, count: Iterator[int]) -> Any:
    if isinstance(schema, list):
        _value_of(schema)
        return [_readable(part, count) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if isinstance(kind, dict | list):
        return _readable(kind, count)
    name = f"Type_{next(count)}"
    if kind == "map":
        return _pairs(name, _readable(schema["values"], count))
    if kind == "record":
        fields = [{"name": each["name"], "type": _readable(each["type"], count)} for each in schema["fields"]]
        return {"type": "record", "name": name, "fields": fields}
    if schema.get("logicalType") == "duration" or (schema.get("logicalType"), kind) == ("uuid", "fixed"):
        raise NoColumns(f"no column has a {schema['logicalType']}")
    if schema.get("logicalType") == "decimal" and schema.get("precision", 0) > _DIGITS:
        raise NoColumns(f"no column has decimals of more than {_DIGITS} digits")
    others: dict[Any, Any] = {
        "enum": "int",
        "array": {"type": "array", "items": _readable(schema.get("items"), count)},
        "fixed": {**schema, "name": name},
    }
    return others.get(kind, schema)


def without_logical(schema: Any) -> Any:
    """A readable schema with nothing but what bytes say."""
    return json.loads(
        json.dumps(schema), object_hook=lambda part: {k: v for k, v in part.items() if k != "logicalType"}
    )


def paired(schema: Any) -> Any:
    """A schema by which one message is read in the shape of columns: a map is a list of pairs, a uuid is text."""
    return _paired(schema, itertools.count())


def _paired(schema: Any, count: Iterator[int]) -> Any:
    if isinstance(schema, list):
        return [_paired(part, count) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = _within(schema, lambda part: _paired(part, count))
    if found.get("type") == "map":
        return _pairs(f"ecompulse_pair_{next(count)}", found["values"])
    return "string" if (found.get("logicalType"), found.get("type")) == ("uuid", "string") else found


def _pairs(name: str, values: Any) -> Any:
    fields = [{"name": KEY, "type": "string"}, {"name": ITEM, "type": values}]
    return {"type": "array", "items": {"type": "record", "name": name, "fields": fields}}


def _value_of(union: list[Any]) -> Any:
    """The type of a union beside null; NoColumns where there are several, or nothing else."""
    kinds = [part for part in union if part != "null"]
    if len(kinds) != 1 or len(union) != 2:  # noqa: PLR2004  # null and a type
        raise NoColumns("no column has values of several types")
    return kinds[0]


def restored(value: pl.Expr, schema: Any) -> pl.Expr:
    """What `readable` has changed, as it was: symbols of enums."""
    if not _has_enum(schema):
        return value
    kind = _value_of(schema) if isinstance(schema, list) else schema["type"]
    if kind == "enum":
        symbols = schema["symbols"]
        return value.replace_strict(list(range(len(symbols))), symbols, return_dtype=pl.String)
    if kind == "array":
        return value.list.eval(restored(pl.element(), schema["items"]))
    if kind == "map":
        item = restored(pl.element().struct.field(ITEM), schema["values"])
        return value.list.eval(pl.struct(pl.element().struct.field(KEY), item.alias(ITEM)))
    if kind == "record":
        parts = [
            restored(value.struct.field(each["name"]), each["type"]).alias(each["name"]) for each in schema["fields"]
        ]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return restored(value, kind)


def _has_enum(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_enum, schema))
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "enum":
        return True
    inner = [
        *(schema.get(part) for part in ("type", "items", "values")),
        *(f["type"] for f in schema.get("fields", ())),
    ]
    return any(_has_enum(part) for part in inner if isinstance(part, dict | list))
