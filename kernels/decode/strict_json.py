"""JSON exactly as RFC 8259 has it, one text at a time, where columns are not certain enough.

Python's parser, with what it lets pass taken out: a key given twice, NaN and Infinity, half a surrogate
pair, numbers beyond a double, any depth. Its `json.dumps` with sorted keys is the canonical form.
"""

import json
import re
from collections.abc import Container
from typing import Any, Final, Self

from ecompulse.kernels.decode.numbers import MAX_DIGITS
from ecompulse.kernels.decode.rules import MAX_DEPTH, BrokenRule, Rule

_INFINITY: Final = float("inf")
_LONG_NUMBER: Final = re.compile(f"[0-9]{{{MAX_DIGITS}}}")
_LOSSY: Final = 1e18
"""An integer as large may have been rounded to a double on its way here."""


class Real(float):
    """A number with a point or exponent: a double that remembers how it was written."""

    literal: str

    def __new__(cls, literal: str) -> Self:
        """Read a JSON number."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number


class _NotFinite(float):
    """NaN or Infinity, which Python's parser takes for numbers."""


class _Twice(dict[str, Any]):
    """An object in which a key is given twice."""

    key: str


def _integer(literal: str) -> int | Real:
    if len(literal) > MAX_DIGITS:
        number = Real(literal)
        if abs(number) == _INFINITY:
            return number
    return int(literal)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    twice = _Twice(made)
    seen: set[str] = set()
    twice.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return twice


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Real, parse_int=_integer, parse_constant=_NotFinite
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _refuse(name: str) -> Any:
    raise ValueError(name)


_PLAIN_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
_PLAIN_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def parse(text: str, depth: int = MAX_DEPTH, *, object_only: bool = False, names: Container[str] = ()) -> Any:
    """The value of a JSON text: dict, list, str, int, Real, bool or None.

    Keys that are among `names` are known without the text, so that no message need hide them.

    Raises:
        BrokenRule: the first of broken_json, not_an_object (with `object_only`), duplicate_key, not_finite,
            out_of_range that is broken anywhere in the text.
    """
    try:
        value = _DECODER.decode(text.strip(" \t\r\n"))
    except RecursionError:
        raise BrokenRule(Rule.BROKEN_JSON, f"nested deeper than {depth} levels") from None
    except ValueError as error:
        raise BrokenRule(Rule.BROKEN_JSON, str(error)) from None
    found = _survey(value, depth, names)
    if "\\u" in text:
        _check_surrogates(value)
    if object_only and not isinstance(value, dict):
        raise BrokenRule(Rule.NOT_AN_OBJECT, "{} is not an object", text)
    for rule in (Rule.DUPLICATE_KEY, Rule.NOT_FINITE, Rule.OUT_OF_RANGE):
        if rule in found:
            raise found.pop(rule)  # kept here it would keep this frame, and all that called it
    return value


def _survey(value: Any, depth: int, names: Container[str]) -> dict[Rule, BrokenRule]:
    """What is wrong in a parsed value, by rule, walking it level by level."""
    level, number = [("", value)], 0
    found: dict[Rule, BrokenRule] = {}
    while level:
        number += 1
        if number > depth and any(isinstance(item, dict | list) for _, item in level):
            raise BrokenRule(Rule.BROKEN_JSON, f"nested deeper than {depth} levels")
        below: list[tuple[str, Any]] = []
        for name, item in level:
            _judge(name, item, names, found)
            if isinstance(item, dict):
                below += [(name or key, part) for key, part in item.items()]
            elif isinstance(item, list):
                below += [(name, part) for part in item]
        level = below
    return found


def _judge(name: str, item: Any, names: Container[str], found: dict[Rule, BrokenRule]) -> None:
    if isinstance(item, _Twice):
        rule, text, told = Rule.DUPLICATE_KEY, 'key "{}" is given twice', item.key
    elif isinstance(item, _NotFinite):
        rule, text, told = Rule.NOT_FINITE, "{} is not a finite number", str(float(item))
    elif isinstance(item, Real) and abs(item) == _INFINITY:
        rule, text, told = Rule.OUT_OF_RANGE, "{} does not fit a double", item.literal
    else:
        return
    where = (name,) if name else ()
    found.setdefault(rule, BrokenRule(rule, "{}: " * len(where) + text, *where, told, names=names))


def _check_surrogates(value: Any) -> None:
    try:
        _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise BrokenRule(Rule.BROKEN_JSON, "\\u escape of half a surrogate pair") from None


def canonical(value: Any) -> str:
    """A parsed value as JSON text: sorted keys, compact, only what must be escaped is, doubles at shortest."""
    return _ENCODER.encode(value)


def literal(value: Any) -> str:
    """A parsed value that is no string, as a cell shows it: numbers as they were written."""
    return value.literal if isinstance(value, Real) else canonical(value)


def canonical_again(text: str) -> str | None:
    """Canonical form of JSON text that DuckDB has already written anew, or None if that is not certain.

    DuckDB makes doubles of integers beyond 64 bits, leaves numbers beyond a double as they are, and writes NaN.
    Text that Python writes back as it stands has none of that, nor a key twice.
    """
    try:
        if text.count("[") + text.count("{") <= MAX_DEPTH // 2 and not _LONG_NUMBER.search(text):
            value = _PLAIN_DECODER.decode(text)
            if _PLAIN_ENCODER.encode(value) == text:
                return _ENCODER.encode(value) if "{" in text else text
        value = parse(text, MAX_DEPTH // 2)
    except (BrokenRule, ValueError):
        return None
    return None if _is_lossy(value) else canonical(value)


def _is_lossy(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_lossy, value.values()))
    if isinstance(value, list):
        return any(map(_is_lossy, value))
    return isinstance(value, Real) and abs(value) >= _LOSSY
