"""A funnel as its YAML says it."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Final, Literal

from ecompulse.kernels.config import ConfigError, Duration, nearest, parse_config
from ecompulse.kernels.event import EVENT_TYPES
from ecompulse.kernels.sessions.schemas import DIMENSIONS

HOUR_MS: Final = 3_600_000
MAX_STAGES: Final = 20


def _event_type(value: object) -> str:
    if not isinstance(value, str) or value not in EVENT_TYPES:
        raise ValueError(f"{value!r} is no event type{nearest(str(value), EVENT_TYPES)}")
    return value


def _dimension(value: object) -> str:
    if not isinstance(value, str) or value not in DIMENSIONS:
        raise ValueError(f"{value!r} is no dimension of a session{nearest(str(value), DIMENSIONS)}")
    return value


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as the output shows it.
        events: event types that reach it; none means the type of the stage's name.
        presence: whether later stages need it.
    """

    name: str
    events: tuple[Annotated[str, _event_type], ...] = ()
    presence: Literal["required", "skippable"] = "required"

    def __post_init__(self) -> None:
        if not self.events:
            try:
                object.__setattr__(self, "events", (_event_type(self.name),))
            except ValueError as error:
                raise ConfigError("name", f"{error}; or give the stage a list `events`") from None

    @property
    def told(self) -> str:
        """The stage in a line: `name`, `name (event, event)`, and a `?` where it may be skipped."""
        events = "" if self.events == (self.name,) else f" ({', '.join(self.events)})"
        return f"{self.name}{events}{'?' * (self.presence == 'skippable')}"


_DEFAULT_STAGES: Final = tuple(Stage(n) for n in ("product_view", "add_to_cart", "checkout_start", "purchase"))


@dataclass(frozen=True)
class Funnel:
    """Ordered stages, and how they are counted.

    Attributes:
        name: as the output shows it.
        stages: two or more; the first is required (it is what enters), no event type is in two of them.
        max_time: ms from entry within which a stage counts, inclusive.
        window: ms; tumbling windows of the time of entry.
        modes: `open` ignores what lies between two stages, `strict` ends at a stage event out of turn.
        scopes: `session` follows each session, `visitor` each visitor per window.
        segments: dimensions counted apart, besides all together.
    """

    name: str = "purchase"
    stages: tuple[Stage, ...] = _DEFAULT_STAGES
    max_time: Duration = HOUR_MS
    window: Duration = HOUR_MS
    modes: tuple[Literal["open", "strict"], ...] = ("open", "strict")
    scopes: tuple[Literal["session", "visitor"], ...] = ("session", "visitor")
    segments: tuple[Annotated[str, _dimension], ...] = DIMENSIONS

    def __post_init__(self) -> None:
        if not 2 <= len(self.stages) <= MAX_STAGES:  # noqa: PLR2004  # a funnel narrows from one stage to another
            raise ConfigError("stages", f"a funnel has 2 to {MAX_STAGES} stages, not {len(self.stages)}")
        if self.stages[0].presence == "skippable":
            raise ConfigError("stages[0]", "the first stage is what enters the funnel and must be required")
        names = [stage.name for stage in self.stages]
        events = [event for stage in self.stages for event in stage.events]
        for kind, words in (("stage", names), ("event type", events)):
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                raise ConfigError("stages", f"{kind} {twice[0]} is named twice")
        for key in ("modes", "scopes", "segments"):
            values = getattr(self, key)
            if len(set(values)) < len(values) or (not values and key != "segments"):
                raise ConfigError(key, "give at least one, each once")
        if self.window < 1 or self.max_time < 1:
            raise ConfigError("window" if self.window < 1 else "max_time", "must be 1ms or more")

    @property
    def told(self) -> list[str]:
        """What the numbers of stages stand for: state that was made with other stages means something else."""
        return [stage.told for stage in self.stages]

    def admissible(self, stage: int) -> range:
        """Stages that may follow a stage: up to the next required one."""
        for number in range(stage + 1, len(self.stages)):
            if self.stages[number].presence == "required":
                return range(stage + 1, number + 1)
        return range(stage + 1, len(self.stages))


def parse_funnel(text: str, origin: str = "") -> Funnel:
    """The funnel of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    return parse_config(Funnel, text, origin)


def default_funnel() -> Funnel:
    """The shipped funnel: product view, cart, checkout, purchase."""
    return shipped_funnel("default")


def shipped_funnel(name: str) -> Funnel:
    """A funnel that comes with the package: `default`, `no_checkout`.

    Raises:
        ConfigError: there is none of that name.
    """
    folder = files(__package__)
    names = [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
    if name not in names:
        raise ConfigError("funnel", f"{name!r} is no shipped funnel{nearest(name, names)}")
    return parse_funnel((folder / f"{name}.yaml").read_text(encoding="utf-8"))
