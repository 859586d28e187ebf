"""Which stream each metric is computed of: events as they come, events of known visitors, or marks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.interval_join import NEEDED, MatchPayments
from ecompulse.kernels.metrics.cardinality import LimitSeries
from ecompulse.kernels.metrics.kernel import CombineSlices
from ecompulse.kernels.metrics.plan import Bound, Plan
from ecompulse.kernels.metrics.settlement import SETTLED_LINE, SETTLED_REFUND
from ecompulse.kernels.metrics.visits import CART, SESSION_START, FollowVisits

VISITOR: Final = "visitor"
PARTS: Final = ("events", "visitors", "visits", "settlements")
_VISITS: Final = frozenset({SESSION_START, CART})
_SETTLEMENTS: Final = frozenset({SETTLED_LINE, SETTLED_REFUND})


@dataclass(frozen=True)
class Streams:
    """The metrics of a plan by what they are computed of; each is in one part.

    A metric whose filter names only types of marks is computed of marks; all others are computed of events, and never
    see a mark.

    Attributes:
        plan: all metrics.
        events: of events, without the visitor.
        visitors: of events with their visitor.
        visits: of marks of `FollowVisits`.
        settlements: of purchase lines and refunds once the payment's outcome is known (`settled`).
        follow: finds marks of visits; None when no metric needs them.
        payments: finds the outcome of payments; None when no metric needs it.
        admit: bounds the series; None when no metric has dimensions.
        combine: makes windows of slices.
        marks: columns of marks of visits.
    """

    plan: Plan
    events: Plan
    visitors: Plan
    visits: Plan
    settlements: Plan
    follow: FollowVisits | None
    payments: MatchPayments | None
    admit: LimitSeries | None
    combine: CombineSlices
    marks: pl.Schema

    @property
    def used(self) -> Sequence[str]:
        """The parts that have metrics."""
        return [name for name in PARTS if getattr(self, name).metrics]

    @property
    def bounded(self) -> Sequence[str]:
        """The parts with metrics whose series are bounded."""
        return [name for name in PARTS if any(spec.bounded for spec in getattr(self, name).specs)]

    @property
    def of_visitors(self) -> frozenset[str]:
        """Columns that events of known visitors must carry; empty when no metric asks for visitors."""
        return self.visitors.columns | frozenset(self.follow.inputs if self.follow else ())


def streams_of(plan: Plan, schema: pl.Schema, *, session_gap: int, max_series: int) -> Streams:
    """Sort a plan's metrics by stream.

    Args:
        plan: metrics bound to `schema`.
        schema: columns of events.
        session_gap: ms of silence between visits.
        max_series: bound on the series of a metric per day.

    Raises:
        ConfigError: a metric mixes marks and events, or gives marks no time to be known (`lag`).
    """
    sorted_out = [(_stream(bound), bound) for bound in plan.metrics]
    found = {name: replace(plan, metrics=tuple(bound for its, bound in sorted_out if its == name)) for name in PARTS}
    carts = [bound for bound in found["visits"].metrics if CART in _types(bound)]
    settled = found["settlements"]
    return Streams(
        plan=plan,
        **found,
        follow=_follow(session_gap, carts) if found["visits"].metrics else None,
        payments=_payments(settled, schema) if settled.metrics else None,
        admit=LimitSeries(plan.specs, max_series) if any(spec.bounded for spec in plan.specs) else None,
        combine=CombineSlices.of(plan),
        marks=pl.Schema({name: schema[name] for name in schema if name in found["visits"].columns}),
    )


def _types(bound: Bound) -> frozenset[str]:
    return frozenset[str]().union(*(part.types or () for part in bound.parts))


def _stream(bound: Bound) -> str:
    types = _types(bound) if all(part.types is not None for part in bound.parts) else frozenset[str]()
    for name, marks in (("visits", _VISITS), ("settlements", _SETTLEMENTS)):
        if types & marks:
            if not types <= marks:
                mixed = ", ".join(sorted(types))
                raise ConfigError(f"metrics.{bound.spec.name}.filter", f"mixes marks with other types: {mixed}")
            return name
    return "visitors" if VISITOR in bound.columns else "events"


def _wait(bounds: Sequence[Bound], what: str) -> int:
    """The lag of the metric that waits least: marks must be there before its windows close."""
    least = min(bounds, key=lambda bound: bound.spec.lag)
    if least.spec.lag <= 0:
        raise ConfigError(f"metrics.{least.spec.name}.lag", f"required: how long after {what} its outcome is known")
    return least.spec.lag


def _follow(session_gap: int, carts: Sequence[Bound]) -> FollowVisits:
    return FollowVisits(session_gap, _wait(carts, "the beginning of a cart") if carts else 3_600_000)


def _payments(settled: Plan, schema: pl.Schema) -> MatchPayments:
    if VISITOR in settled.columns:
        name = next(bound.spec.name for bound in settled.metrics if VISITOR in bound.columns)
        raise ConfigError(f"metrics.{name}", "a settled line has no visitor")
    names = [name for name in schema if name in settled.columns or name in NEEDED]
    return MatchPayments(pl.Schema({name: schema[name] for name in names}), _wait(settled.metrics, "a purchase"))
