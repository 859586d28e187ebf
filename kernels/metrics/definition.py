"""Metrics as their YAML says them: filter, measure, dimensions, windows, early values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from math import gcd
from typing import Annotated, Final

from ecompulse.kernels.config import ConfigError, Duration, nearest, parse_config
from ecompulse.kernels.durations import duration_text, parse_duration
from ecompulse.kernels.labels import as_label
from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.measures.base import Measure, as_expression
from ecompulse.kernels.metrics.measures.registry import parse_measure

MAX_FILL: Final = 10_000
"""Windows without data that may be shown."""

DAY_MS: Final = 86_400_000
Formula = Annotated[Expression, as_expression]

QUARTER_MS: Final = 900_000  # all zones in use since 1990 are whole quarters of an hour from UTC

_WINDOW: Final = re.compile(r"(tumbling|sliding)\s+(\S+?)(?:/(\S+))?")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


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


def _parse_dimensions(value: object) -> Mapping[str, Expression]:
    if isinstance(value, list):
        value = {str(item): item for item in value}
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004  # a user's file, not a programmer's type
            f"expected a list of columns, or name: expression, found {value!r}"
        )
    found = {}
    for name, text in value.items():
        try:
            found[str(name)] = as_expression(text)
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
    lag: Duration = 0
    fill: int | None = None
    help: str = ""

    def __post_init__(self) -> None:
        if not self.windows:
            raise ConfigError("windows", "give at least one")
        if len(set(self.windows)) < len(self.windows):
            raise ConfigError("windows", "one is given twice")
        if self.fill is not None and not 0 <= self.fill <= MAX_FILL:
            raise ConfigError("fill", f"must be 0 or more, and at most {MAX_FILL}, not {self.fill}")
        taken = self.measure.dimension
        if taken in self.dimensions:
            raise ConfigError(f"dimensions.{taken}", "the measure adds a dimension of this name; choose another")
        labels: dict[str, str] = {}
        for name in filter(None, (*self.dimensions, taken)):
            other = labels.setdefault(as_label(name), name)
            if other != name:
                raise ConfigError(
                    f"dimensions.{name}", f"as a label it would be the same as {other}; choose another name"
                )

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
        if not self.metrics:
            raise ConfigError("metrics", "give at least one")
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
    return parse_config(MetricSet, text, origin)


def standard_metrics() -> MetricSet:
    """The shipped set (standard.yaml)."""
    return parse_metrics((files(__package__) / "standard.yaml").read_text(encoding="utf-8"), "standard.yaml")
