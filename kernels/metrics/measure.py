"""Measures as their YAML says them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from ecompulse.kernels.config import ConfigError, load_config, parse_duration
from ecompulse.kernels.metrics.expressions import Expression

_MAX_K: Final = 1_000


class Kind(StrEnum):
    """What is computed of the rows of a window."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    QUANTILES = "quantiles"
    TOP = "top"
    RATE = "rate"
    RATIO = "ratio"


PLAIN: Final = (Kind.COUNT, Kind.SUM, Kind.DISTINCT)
"""Measures that are one number, of which a ratio can be made."""

_WITH: Final[dict[Kind, tuple[str, ...]]] = {Kind.QUANTILES: ("at",), Kind.TOP: ("k", "by"), Kind.RATE: ("per",)}


def parse_expression(value: object) -> Expression:
    """An expression of text.

    Raises:
        ValueError: names what is wrong.
    """
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  # a user's file, not a programmer's type
            f"expected an expression as text, found {value!r}"
        )
    return Expression(value)


Formula = Annotated[Expression, parse_expression]


@dataclass(frozen=True)
class Part:
    """One aggregate of rows.

    Attributes:
        kind: not `ratio` or `rate`.
        of: what is summed, counted (rows where it is not null) or ranked; None only for a plain `count`.
        where: of which rows, besides the metric's filter.
    """

    kind: Kind
    of: Expression | None = None
    where: Expression | None = None


@dataclass(frozen=True)
class Measure:
    """What a metric's value is.

    Attributes:
        kind: of the measure.
        parts: one aggregate; of a ratio numerator and denominator.
        at: probabilities of quantiles.
        k: rows of a ranking.
        per: ms; unit of time of a rate.
    """

    kind: Kind
    parts: tuple[Part, ...]
    at: tuple[Decimal, ...] = ()
    k: int = 10
    per: int = 1_000


@dataclass(frozen=True)
class _PartKeys:
    count: Formula | None = None
    sum: Formula | None = None
    mean: Formula | None = None
    min: Formula | None = None
    max: Formula | None = None
    distinct: Formula | None = None
    quantiles: Formula | None = None
    top: Formula | None = None
    rate: object = None
    ratio: object = None
    where: Formula | None = None
    at: tuple[Decimal, ...] = (Decimal("0.5"), Decimal("0.95"), Decimal("0.99"))
    k: int = 10
    by: object = "count"
    per: Annotated[int, parse_duration] = 1_000


@dataclass(frozen=True)
class _Sides:
    numerator: object
    denominator: object


def parse_measure(value: object) -> Measure:
    """A measure: `count`, or a mapping with one measure as its key and `where`, `at`, `k`, `by`, `per` beside it.

    Raises:
        ConfigError: with the path below the measure.
    """
    if value == Kind.COUNT.value:
        return Measure(Kind.COUNT, (Part(Kind.COUNT),))
    keys = load_config(_PartKeys, value)
    assert isinstance(value, Mapping)  # noqa: S101  # load_config refuses anything else
    kind = _only_kind(value)
    for other, extras in _WITH.items():
        for extra in extras:
            if extra in value and kind is not other:
                raise ConfigError(extra, f"belongs to `{other}`, not to `{kind}`")
    if kind is Kind.RATIO:
        return _ratio(keys)
    if kind is Kind.RATE:
        inner = _plain("rate", keys.rate, (Kind.COUNT, Kind.SUM))
        if keys.per < 1:
            raise ConfigError("per", "must be 1ms or more")
        return Measure(Kind.RATE, (_narrowed(inner, keys.where),), per=keys.per)
    _check_numbers(kind, keys)
    return Measure(kind, _parts(kind, keys), keys.at if kind is Kind.QUANTILES else (), keys.k)


def _only_kind(value: Mapping[Any, Any]) -> Kind:
    kinds = [Kind(key) for key in value if key in list(Kind)]
    if len(kinds) != 1:
        known = ", ".join(Kind)
        raise ValueError(f"give exactly one of {known}{', not ' + ' and '.join(kinds) if kinds else ''}")
    if value[kinds[0]] is None:
        raise ConfigError(kinds[0], "expected an expression, found null")
    return kinds[0]


def _check_numbers(kind: Kind, keys: _PartKeys) -> None:
    if kind is Kind.QUANTILES and (not keys.at or not all(0 <= q <= 1 for q in keys.at)):
        raise ConfigError("at", "give probabilities from 0 to 1")
    if len(set(keys.at)) < len(keys.at):
        raise ConfigError("at", "a probability is given twice")
    if not 1 <= keys.k <= _MAX_K:
        raise ConfigError("k", f"must be 1 to {_MAX_K}, not {keys.k}")


def _parts(kind: Kind, keys: _PartKeys) -> tuple[Part, ...]:
    """The part; of a ranking what ranks, then what is ranked by it."""
    part = Part(kind, getattr(keys, kind.value), keys.where)
    if kind is not Kind.TOP:
        return (part,)
    by = _plain("by", keys.by, (Kind.COUNT, Kind.SUM))
    if by.where is not None:
        raise ConfigError("by.where", "give `where` beside `top`")
    return (part, Part(by.kind, by.of, keys.where))


def _ratio(keys: _PartKeys) -> Measure:
    if isinstance(keys.ratio, list):
        if len(keys.ratio) != 2:  # noqa: PLR2004  # numerator and denominator
            raise ConfigError("ratio", "give two measures, numerator and denominator")
        sides = _Sides(*keys.ratio)
    else:
        try:
            sides = load_config(_Sides, keys.ratio)
        except ConfigError as error:
            raise ConfigError(f"ratio.{error.path}".strip("."), error.message) from None
    parts = (
        _plain("ratio.numerator", sides.numerator, PLAIN),
        _plain("ratio.denominator", sides.denominator, PLAIN),
    )
    return Measure(Kind.RATIO, tuple(_narrowed(part, keys.where) for part in parts))


def _narrowed(part: Part, where: Expression | None) -> Part:
    if where is None:
        return part
    both = where if part.where is None else Expression(f"({where.text}) and ({part.where.text})")
    return Part(part.kind, part.of, both)


def _plain(path: str, value: object, kinds: tuple[Kind, ...]) -> Part:
    try:
        measure = parse_measure(value)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error.path}".strip("."), error.message) from None
    except ValueError as error:
        raise ConfigError(path, str(error)) from None
    if measure.kind not in kinds:
        raise ConfigError(path, f"{measure.kind} cannot stand here, only {', '.join(kinds)}")
    return measure.parts[0]
