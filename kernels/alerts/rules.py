"""Alert rules as their YAML says them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Final, Literal

from ecompulse.kernels.config import ConfigError, Duration, load_config, nearest, parse_config
from ecompulse.kernels.metrics.definition import DAY_MS, MetricSet, Window

VALUE_DECIMALS: Final = 6
BASE_DECIMALS: Final = 4
HOUR_MS: Final = 3_600_000
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SHARE_UNITS: Final = 10_000
_MAX_SHARE: Final = 1_000_000
_MAX_NUMBER: Final = 10**20
"""Of a limit; the comparison is one of whole numbers of 128 bits."""
_CONDITIONS: Final = ("above", "below", "drop", "rise", "absent")


class Against(StrEnum):
    """What a change is measured against."""

    PREVIOUS = "previous"
    YESTERDAY = "yesterday"
    LAST_WEEK = "last_week"


Severity = Literal["info", "warning", "critical"]


def parse_share(value: object) -> Decimal:
    """A share of text such as `30%`, or of a number such as 0.3.

    Raises:
        ValueError: for anything else, or more than two decimals of a percent.
    """
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        share = Decimal(found[1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = Decimal(str(value))
    else:
        raise ValueError(f"{value!r} is no share such as 30% or 0.3")
    if not share.is_finite() or not 0 <= share <= _MAX_SHARE:
        raise ValueError(f"{value!r} must be 0 or more, and at most {_MAX_SHARE * 100}%")
    if share * _SHARE_UNITS != int(share * _SHARE_UNITS):
        raise ValueError(f"{value!r} must be 0 or more, with at most two decimals of a percent")
    return share


Share = Annotated[Decimal, parse_share]


@dataclass(frozen=True)
class Rule:
    """One rule; exactly one of `above`, `below`, `drop`, `rise`, `absent`.

    Attributes:
        metric: whose final rows are watched, each series by itself.
        window: label of the window (`1m`, `10m/1m`); none = the metric's only one.
        dimensions: values that a series must have; none = all series.
        above: fires when value > it.
        below: fires when value < it.
        drop: fires when the value is this share or more below the other period's.
        rise: likewise above it.
        against: the period before (windows do not overlap), the same local time yesterday or a week ago.
        absent: ms of processing time without data (a value that is neither null nor 0), by `now`.
        hold: `for`: ms of event time that the condition must hold in every window, from the first to the last.
        recover: hysteresis, in the unit of the condition: recovers only when the value is back at it.
        least: what a window must rest on to be judged: the denominator of a ratio or mean, for `drop` and `rise` the
            value of the other period. A share of three payments says nothing.
        severity: as the output shows it.
        help: for those who get it.
    """

    metric: str
    window: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    above: Decimal | None = None
    below: Decimal | None = None
    drop: Share | None = None
    rise: Share | None = None
    against: Against | None = None
    absent: Duration | None = None
    hold: Duration = field(default=0, metadata={"key": "for"})
    recover: object = None
    least: Decimal | None = None
    severity: Severity = "warning"
    help: str = ""

    def __post_init__(self) -> None:
        given = [name for name in _CONDITIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError("", f"give exactly one of {', '.join(_CONDITIONS)}, not {' and '.join(given) or 'none'}")
        if self.relative and self.against is None:
            raise ConfigError("against", f"required with {given[0]}: {', '.join(Against)}")
        if not self.relative and self.against is not None:
            raise ConfigError("against", f"belongs to drop and rise, not to {given[0]}")
        if self.absent is not None and (self.hold or self.recover is not None or self.absent < 1):
            raise ConfigError("absent", "must be longer than 0, and has neither `for` nor `recover`")
        self._check_sizes()
        if self.least is not None and (self.absent is not None or self.least != round(self.least, BASE_DECIMALS)):
            raise ConfigError("least", f"must have at most {BASE_DECIMALS} decimals, and not be with `absent`")
        object.__setattr__(self, "recover", self._recovery())
        self._check_recovery()

    @property
    def condition(self) -> str:
        """Which of the conditions it has."""
        return next(name for name in _CONDITIONS if getattr(self, name) is not None)

    @property
    def relative(self) -> bool:
        """Whether it compares with another period."""
        return self.drop is not None or self.rise is not None

    @property
    def limit(self) -> Decimal:
        """The number of the condition."""
        return Decimal(getattr(self, self.condition))

    def _check_sizes(self) -> None:
        for name in ("above", "below", "least"):
            number = getattr(self, name)
            if number is not None and abs(number) >= _MAX_NUMBER:
                raise ConfigError(name, f"must be less than 10^20, not {number}")

    def _recovery(self) -> Decimal | None:
        if self.recover is None or self.absent is not None:
            return None
        if self.relative:
            try:
                return parse_share(self.recover)
            except ValueError as error:
                raise ConfigError("recover", str(error)) from None
        number = load_config(_Number, {"recover": self.recover}).recover
        if abs(number) >= _MAX_NUMBER:
            raise ConfigError("recover", f"must be less than 10^20, not {number}")
        return number

    def _check_recovery(self) -> None:
        for name in ("above", "below"):
            number = getattr(self, name)
            if number is not None and number != round(number, VALUE_DECIMALS):
                raise ConfigError(name, f"has more than {VALUE_DECIMALS} decimals")
        if self.recover is None:
            return
        assert isinstance(self.recover, Decimal)  # noqa: S101  # made so above
        beyond = self.recover < self.limit if self.condition == "below" else self.recover > self.limit
        if beyond:
            raise ConfigError(
                "recover", f"{self.recover} would recover while {self.condition} {self.limit} still holds"
            )


@dataclass(frozen=True)
class _Number:
    recover: Decimal


@dataclass(frozen=True)
class Watch:
    """A rule bound to its metric.

    Attributes:
        name: of the rule.
        rule: as given.
        window: the window watched.
    """

    name: str
    rule: Rule
    window: Window

    @property
    def horizon(self) -> int:
        """Ms of past values that it compares with; an hour more where the clock may change."""
        if self.rule.against is None:
            return 0
        lengths = {Against.PREVIOUS: self.window.size, Against.YESTERDAY: DAY_MS, Against.LAST_WEEK: 7 * DAY_MS}
        return lengths[self.rule.against] + HOUR_MS


@dataclass(frozen=True)
class RuleSet:
    """Rules by name."""

    rules: Mapping[str, Rule] = field(default_factory=dict)

    def bind(self, metrics: MetricSet, *, skip: frozenset[str] = frozenset()) -> tuple[Watch, ...]:
        """Check the rules against the metrics; rules on metrics of `skip` are left out.

        Raises:
            ConfigError: for a metric, window or dimension that is not there.
        """
        return tuple(_bind(name, rule, metrics) for name, rule in self.rules.items() if rule.metric not in skip)


def _bind(name: str, rule: Rule, metrics: MetricSet) -> Watch:
    path = f"rules.{name}"
    metric = metrics.metrics.get(rule.metric)
    if metric is None:
        raise ConfigError(f"{path}.metric", f"no metric {rule.metric!r}{nearest(rule.metric, metrics.metrics)}")
    if metric.measure.unbounded:
        raise ConfigError(f"{path}.metric", "a ranking has no one value to watch")
    labels = {window.label: window for window in metric.windows}
    if rule.window is None and len(labels) > 1:
        raise ConfigError(f"{path}.window", f"the metric has several: {', '.join(labels)}")
    label = rule.window or next(iter(labels))
    if label not in labels:
        raise ConfigError(f"{path}.window", f"{label!r} is no window of {rule.metric}{nearest(label, labels)}")
    if rule.least is not None and not rule.relative and not (metric.measure.quotient and metric.measure.name != "rate"):
        raise ConfigError(f"{path}.least", f"{rule.metric} is no ratio or mean, so there is nothing it rests on")
    own = {*metric.dimensions, *([metric.measure.dimension] if metric.measure.dimension else [])}
    for dimension in rule.dimensions:
        if dimension not in own:
            message = f"{rule.metric} has no such dimension{nearest(dimension, own)}"
            raise ConfigError(f"{path}.dimensions.{dimension}", message)
    return Watch(name, rule, labels[label])


def parse_rules(text: str, origin: str = "") -> RuleSet:
    """The rules of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    return parse_config(RuleSet, text, origin)


def standard_rules() -> RuleSet:
    """The shipped rules (standard.yaml) over the standard metrics."""
    return parse_rules((files(__package__) / "standard.yaml").read_text(encoding="utf-8"), "standard.yaml")
