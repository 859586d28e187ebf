"""All steps in their order, and the schema of what comes out."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, TypeVar

import polars as pl

from ecompulse.kernels.config import ConfigError, load_config, nearest, parse_config
from ecompulse.kernels.enrich.campaign import CampaignStep
from ecompulse.kernels.enrich.currency import CurrencyStep
from ecompulse.kernels.enrich.device import DeviceStep
from ecompulse.kernels.enrich.geo import GeoStep
from ecompulse.kernels.enrich.lookup import LookupStep, ProductStep, UserStep
from ecompulse.kernels.enrich.pii import PiiStep
from ecompulse.kernels.enrich.step import Opened, Step, status_column

Kind = TypeVar("Kind", bound=Step)

STEPS: Final[list[type[Step]]] = [UserStep, ProductStep, GeoStep, DeviceStep, CampaignStep, CurrencyStep, PiiStep]
"""The steps in their order; decoding and validation come before. A step sees the event as it was decoded and what the
steps before it added. The privacy policy is the last, since it must see everything that will be stored."""

Resources = Mapping[str, Opened]
"""What the steps need from outside, by step, opened by `ecompulse.io.lookups.open_resources`."""


def register_step(step: type[Step]) -> None:
    """Add a step of one's own, before the privacy policy; a step of the same name takes the place of the one there.

    Its section of `--enrich` and its columns are there from then on. Columns are added to a lake that exists.
    """
    for at, known in enumerate(STEPS):
        if known.name == step.name:
            STEPS[at] = step
            return
    STEPS.insert(len(STEPS) - 1, step)


def _steps(value: object) -> tuple[Step, ...]:
    sections = {} if value is None else value
    if not isinstance(sections, Mapping):
        raise ValueError(f"expected a mapping, found {'a list' if isinstance(value, list) else repr(value)}")  # noqa: TRY004
    by_name = {step.name: step for step in STEPS}
    for name in sections:
        if name not in by_name:
            raise ConfigError(str(name), f"unknown key{nearest(str(name), by_name)}")
    return tuple(load_config(step, sections.get(name), name) for name, step in by_name.items())


def _defaults() -> tuple[Step, ...]:
    return _steps(None)


@dataclass(frozen=True)
class EnrichConfig:
    """What `--enrich` says: every step with its settings, in their order. See default.yaml."""

    steps: Annotated[tuple[Step, ...], _steps] = field(default_factory=_defaults)

    def step(self, kind: type[Kind]) -> Kind:
        """The settings of a step."""
        return next(step for step in self.steps if isinstance(step, kind))

    def lookup(self, name: str) -> LookupStep:
        """The settings of a keyed look-up by its name."""
        return next(step for step in self.lookups if step.name == name)

    @property
    def lookups(self) -> tuple[LookupStep, ...]:
        """All keyed look-ups."""
        return tuple(step for step in self.steps if isinstance(step, LookupStep))

    def making(self, wanted: Collection[str], resources: "Resources") -> "EnrichConfig":
        """Only the steps that make some of these columns, or what such a step reads; and always the privacy policy."""
        needed: set[str] | None = set(wanted)
        kept: list[Step] = []
        for step in reversed(self.steps):
            makes = {*step.columns(resources.get(step.name, {})), status_column(step.name)}
            if isinstance(step, PiiStep) or needed is None or not needed.isdisjoint(makes):
                kept.append(step)
                needed = None if needed is None or step.reads is None else needed | set(step.reads)
        return replace(self, steps=tuple(reversed(kept)))

    def having(self, changed: Step) -> "EnrichConfig":
        """The same with other settings of a step."""
        return replace(self, steps=tuple(changed if step.name == changed.name else step for step in self.steps))


OpenResources = Callable[[EnrichConfig], Resources]
"""Opens look-ups on a worker; `ecompulse.io.lookups.open_resources`. What is open already costs nothing."""


def parse_enrich(text: str, origin: str = "") -> EnrichConfig:
    """The enrichment steps of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key and its nearest neighbour.
    """
    return parse_config(EnrichConfig, text, origin)


def enrich(events: pl.DataFrame, config: EnrichConfig, resources: Resources) -> pl.DataFrame:
    """The batch with every step's columns and its `<step>_status`; rows and their order are kept.

    The schema is `enriched_schema(config, events.schema, resources)` for every batch, an empty one included.

    Raises:
        ecompulse.io.lookups.LookupFailed: a store failed whose policy is `fail`.
    """
    for step in config.steps:
        events = step.apply(events, resources.get(step.name, {}))
    return events


def enriched_schema(config: EnrichConfig, events: pl.Schema, resources: Resources) -> pl.Schema:
    """Columns of enriched events: those of `events` and of all steps, on or off.

    Raises:
        ConfigError: a look-up's column is already taken, or the privacy policy names a column that is not there.
    """
    added = [dict(step.columns(resources.get(step.name, {}))) for step in config.steps]
    for at, step in enumerate(config.steps):
        # A column must be taken by no other step, whichever comes first; only the policy sees all of them.
        others = added[:at] if isinstance(step, PiiStep) else [*added[:at], *added[at + 1 :]]
        taken: dict[str, Any] = dict(events)
        for columns in others:
            taken |= columns
        taken |= {status_column(other.name): pl.String() for other in config.steps if other is not step}
        try:
            step.check(pl.Schema(taken), resources.get(step.name, {}))
        except ConfigError as error:
            raise ConfigError(f"steps.{step.name}.{error.path}", error.message) from None
    schema = dict(events)
    for step, columns in zip(config.steps, added, strict=True):
        schema |= {**columns, status_column(step.name): pl.String()}
    return pl.Schema(schema)
