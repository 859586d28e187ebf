"""Values inside `properties`, a column of JSON texts, replaced in place."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import polars as pl

Protect = Callable[[pl.Series], pl.Series]
"""Replaces the texts of a Series; nulls of the result become JSON null."""

_SCALAR: Final = r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+\-]*|true|false'
_STRUCTURE: Final = r"\s*[\[{]"


def unescape(texts: pl.Series) -> pl.Series:
    r"""The same JSON without needless `\u00xx` escapes, which could hide a name or an address from a search.

    Hardly any text has one; each different one is parsed and written anew.
    """
    escaped = texts.filter(texts.str.contains(r"(?i)\\u00[2-7]").fill_null(value=False)).unique()
    if escaped.is_empty():
        return texts
    return texts.replace(escaped, pl.Series([_rewrite(text) for text in escaped], dtype=pl.String))


def protect_property(texts: pl.Series, path: str, protect: Protect) -> pl.Series:
    """JSON objects with the values at `path` (`x`, or `x.y` for an object in an object) replaced.

    A property `x` with a text, number or boolean is replaced by expressions, wherever in the object a key is
    named so: hiding too much is the safe side. A nested path, or an `x` that holds an object or a list, is
    replaced as a whole, by parsing each different text once. `protect` sees a value's text: without quotes,
    JSON for what is no text.
    """
    leaf = path.rpartition(".")[2]
    holds = texts.str.contains(json.dumps(leaf, ensure_ascii=False), literal=True).fill_null(value=False)
    if not holds.any():
        return texts
    chosen = texts.filter(holds).clone()
    name = re.escape(json.dumps(leaf, ensure_ascii=False))
    nested = chosen.str.contains(rf"{name}\s*:{_STRUCTURE}") | pl.Series([path != leaf]).new_from_index(0, chosen.len())
    repeated = chosen.str.count_matches(rf"{name}\s*:") > 1
    inside = chosen.str.contains(rf"\\{name}")  # the end of another name, after an escaped quote
    slow = (nested | repeated | inside).alias("slow")
    flat = _flat(chosen.filter(~slow), name, protect)
    chosen = chosen.scatter((~slow).arg_true(), flat)
    chosen = chosen.scatter(slow.arg_true(), _parsed(chosen.filter(slow), path.split("."), protect))
    return texts.clone().scatter(holds.arg_true(), chosen)  # scatter works in place


def _flat(texts: pl.Series, name: str, protect: Protect) -> pl.Series:
    if texts.is_empty():
        return texts
    pair = rf"({name}\s*:\s*)({_SCALAR})"
    raw = texts.str.extract(pair, 2)
    plain = raw.str.strip_prefix('"').str.strip_suffix('"').rename("value")
    new = protect(plain)
    frame = pl.DataFrame({"text": texts, "raw": raw, "new": new})
    quoted = pl.coalesce(pl.concat_str(pl.lit('"'), "new", pl.lit('"')), pl.lit("null"))
    replaced = pl.col("text").str.replace(pair, pl.concat_str(pl.lit("${1}"), quoted))
    return frame.select(pl.when(pl.col("raw").is_null()).then(pl.col("text")).otherwise(replaced)).to_series()


def _parsed(texts: pl.Series, path: list[str], protect: Protect) -> pl.Series:
    unique = texts.unique()
    if unique.is_empty():
        return texts
    replaced = [_dump(_replace(json.loads(text), path, protect)) for text in unique]
    return texts.replace(unique, pl.Series(replaced, dtype=pl.String))


def _replace(value: Any, path: list[str], protect: Protect) -> Any:
    """The value with what stands at `path` replaced; a path of one name is found at any depth."""
    if isinstance(value, list):
        return [_replace(item, path, protect) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _replace_item(key, item, path, protect) for key, item in value.items()}


def _replace_item(key: str, item: Any, path: list[str], protect: Protect) -> Any:
    if key == path[0]:
        return _one(item, protect) if len(path) == 1 else _replace(item, path[1:], protect)
    return _replace(item, path, protect) if len(path) == 1 else item


def _one(value: Any, protect: Protect) -> Any:
    if value is None:
        return None
    text = value if isinstance(value, str) else _dump(value)
    return protect(pl.Series("value", [text])).item()


def _rewrite(text: str) -> str:
    try:
        return _dump(json.loads(text))
    except ValueError:
        return text


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
