"""Metrics as their YAML says them: filter, measure, dimensions, windows, early values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files
from math import gcd
from typing import Annotated, Any, Final

from ecompulse.kernels.config import ConfigError, load_config, nearest, parse_duration, parse_yaml
from ecompulse.kernels.metrics.expressions import Expression

DAY_MS: Final = 86_400_000
QUARTER_MS: Final = 900_000  # all zones in use since 1990 are whole quarters of an hour from UTC

_WINDOW: Final = re.compile(r"(tumbling|sliding)\s+(\S+?)(?:/(\S+))?")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_UNITS: Final = (("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
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


def duration_text(ms: int) -> str:
    """A duration as short text: `90s`, `10m`, `1d`."""
    return next(f"{ms // unit}{name}" for name, unit in _UNITS if ms % unit == 0)


@dataclass(frozen=True)
class Window:
    """A tumbling (size = slide) or sliding window.

    Windows begin at multiples of `slide` since 1970 in UTC; those of whole days, at midnights of the
    configured timezone, so that a day has 23 or 25 hours when the clock changes.

    Attributes:
        size: ms.
        slide: ms, at most `size`.
    """

    size: int
    slide: int

    @property
    def label(self) -> str:
        """As the output shows it: `1m`, `10m/1m`."""
        size = duration_text(self.size)
        return size if self.size == self.slide else f"{size}/{duration_text(self.slide)}"

    @property
    def daily(self) -> bool:
        """Whether it goes by days of the calendar."""
        return self.size % DAY_MS == 0 and self.slide % DAY_MS == 0


def parse_window(value: object) -> Window:
    """A window of text such as `tumbling 1m` or `sliding 10m/1m`.

    Raises:
        ValueError: for anything else.
    """
    found = _WINDOW.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or (found[1] == "sliding") is not (found[3] is not None):
        raise ValueError(f"{value!r} is no window such as `tumbling 1m` or `sliding 10m/1m`")
    size = parse_duration(found[2])
    slide = parse_duration(found[3]) if found[3] else size
    if not 0 < slide <= size:
        raise ValueError(f"{value!r}: the slide must be longer than 0 and no longer than the window")
    return Window(size, slide)


def parse_expression(value: object) -> Expression:
    """An expression of text.

    Raises:
        ValueError: names what is wrong.
    """
    if not isinstance(value, str):
        raise ValueError(f"expected an expression as text, found {value!r}")
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


def _parse_dimensions(value: object) -> Mapping[str, Expression]:
    if isinstance(value, list):
        value = {str(item): item for item in value}
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a list of columns, or name: expression, found {value!r}")
    found = {}
    for name, text in value.items():
        try:
            found[str(name)] = parse_expression(text)
        except ValueError as error:
            raise ConfigError(str(name), str(error)) from None
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        measure: what its value is.
        windows: one or more.
        filter: rows that count; none = all.
        dimensions: name -> expression; each combination of values is a series of its own.
        early: whether open windows are shown too (final=false).
        lag: ms that its windows stay open beyond their end, for rows that are known only then.
        fill: windows without data that are still shown as zeros after the last with data; none = the job's.
        help: its formula in words.
    """

    measure: Annotated[Measure, parse_measure]
    windows: tuple[Annotated[Window, parse_window], ...]
    filter: Formula | None = None
    dimensions: Annotated[Mapping[str, Expression], _parse_dimensions] = field(default_factory=dict)
    early: bool = False
    lag: Annotated[int, parse_duration] = 0
    fill: int | None = None
    help: str = ""

    def __post_init__(self) -> None:
        if not self.windows:
            raise ConfigError("windows", "give at least one")
        if len(set(self.windows)) < len(self.windows):
            raise ConfigError("windows", "one is given twice")
        if self.fill is not None and self.fill < 0:
            raise ConfigError("fill", f"must be 0 or more, not {self.fill}")
        taken = {Kind.QUANTILES: "quantile", Kind.TOP: "rank"}.get(self.measure.kind)
        if taken in self.dimensions:
            raise ConfigError(f"dimensions.{taken}", "the measure adds a dimension of this name; choose another")

    def slice_ms(self, timezone: str = "UTC") -> int:
        """Length of a slice: the longest of which all windows are made."""
        lengths = [n for window in self.windows for n in (window.size, window.slide)]
        if timezone != "UTC" and any(window.daily for window in self.windows):
            lengths.append(QUARTER_MS)
        return gcd(*lengths)


@dataclass(frozen=True)
class MetricSet:
    """Metrics by name."""

    metrics: Mapping[str, Metric]

    def __post_init__(self) -> None:
        for name in self.metrics:
            if not _NAME.fullmatch(name):
                raise ConfigError(f"metrics.{name}", "a name has small letters, digits and _, a letter first")

    def only(self, *names: str) -> "MetricSet":
        """Some of them.

        Raises:
            ConfigError: for a name that is not there.
        """
        for name in names:
            if name not in self.metrics:
                raise ConfigError(name, f"no such metric{nearest(name, self.metrics)}")
        return MetricSet({name: self.metrics[name] for name in names})


def parse_metrics(text: str, origin: str = "") -> MetricSet:
    """The metrics of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    try:
        return load_config(MetricSet, parse_yaml(text))
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error.path}".strip(": "), error.message) from None


def standard_metrics() -> MetricSet:
    """The shipped set (standard.yaml)."""
    return parse_metrics((files(__package__) / "standard.yaml").read_text(encoding="utf-8"), "standard.yaml")
