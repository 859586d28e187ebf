"""Measures as YAML says them, by the key that names each."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from ecompulse.kernels.config import ConfigError, load_config, nearest
from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.measures.base import Measure, Part, as_expression

MEASURES: Final[dict[str, type[Measure]]] = {}
"""Every measure by its name; `registry` puts ours in."""

_COUNT: Final = "count"
_WHERE: Final = "where"


def register_measure(measure: type[Measure]) -> None:
    """Make a measure of one's own a key of `measure:`, in this process. State of other metrics stays as it is."""
    MEASURES[measure.name] = measure


def parse_measure(value: object) -> Measure:
    """A measure: `count`, or a mapping with one measure as its key and `where` and its options beside it.

    Raises:
        ConfigError: with the path below the measure.
    """
    if value == _COUNT:
        counted = MEASURES[_COUNT]
        return counted((Part(counted()),))
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a mapping with one of {', '.join(MEASURES)}, found {value!r}")  # noqa: TRY004
    measure = _only_one(value)
    others = {key: item for key, item in value.items() if key not in (measure.name, _WHERE)}
    _check_keys(measure, others)
    try:
        where = as_expression(value[_WHERE]) if value.get(_WHERE) is not None else None
    except ValueError as error:
        raise ConfigError(_WHERE, str(error)) from None
    options: Any = load_config(measure.options, others)
    try:
        return measure.read(value[measure.name], where, options)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(measure.name, str(error)) from None


def parse_part(path: str, value: object, *allowed: str) -> Part:
    """The part of a measure within another; ConfigError, with the path, unless it is `allowed` (any plain one)."""
    try:
        measure = parse_measure(value)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error.path}".strip("."), error.message) from None
    except ValueError as error:
        raise ConfigError(path, str(error)) from None
    allowed = allowed or tuple(known.name for known in MEASURES.values() if known.plain)
    if measure.name not in allowed:
        raise ConfigError(path, f"{measure.name} cannot stand here, only {', '.join(allowed)}")
    return measure.parts[0]


def narrowed(part: Part, where: Expression | None) -> Part:
    """A part of the rows for which a further condition holds."""
    if where is None:
        return part
    both = where if part.where is None else Expression(f"{_enclosed(where)} and {_enclosed(part.where)}")
    return Part(part.measure, part.of, both)


def _enclosed(expression: Expression) -> str:
    """In parentheses, the last of which no comment hides."""
    end = "\n)" if "#" in expression.text else ")"
    return f"({expression.text}{end}"


def _only_one(value: Mapping[Any, Any]) -> type[Measure]:
    named = [key for key in value if key in MEASURES]
    for key in value if not named else ():
        close = nearest(str(key), MEASURES)
        if close.startswith(","):
            raise ConfigError(str(key), f"unknown key{close}")
    if len(named) != 1:
        known = ", ".join(MEASURES)
        raise ValueError(f"give exactly one of {known}{', not ' + ' and '.join(named) if named else ''}")
    if value[named[0]] is None:
        raise ConfigError(named[0], "expected an expression, found null")
    return MEASURES[named[0]]


def _check_keys(measure: type[Measure], others: Mapping[Any, Any]) -> None:
    own = {field.name for field in fields(measure.options)}
    for key in others:
        for other in MEASURES.values():
            if key not in own and key in {field.name for field in fields(other.options)}:
                raise ConfigError(str(key), f"belongs to `{other.name}`, not to `{measure.name}`")
