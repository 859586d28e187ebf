"""Metrics ready to be computed, as `binding.bind` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ecompulse.kernels.metrics.definition import Window
from ecompulse.kernels.metrics.measure import Kind


@dataclass(frozen=True)
class Aggregate:
    """A part of a measure, compiled.

    Attributes:
        kind: `count sum mean min max distinct quantiles top`.
        value: Int64 (String for `distinct` and `top`), or None for a count of rows.
        scale: decimals of `value`: 4 for amounts, 0 else.
        condition: of which rows; None = all.
        types: event types for which the condition can hold; None = any.
        label: equal for equal aggregates.
        by: of a ranking, what ranks (`count` or `sum`).
    """

    kind: Kind
    value: pl.Expr | None
    scale: int
    condition: pl.Expr | None
    types: frozenset[str] | None
    label: tuple[str, ...]
    by: "Aggregate | None" = None


@dataclass(frozen=True)
class Spec:
    """What a kernel must know of a metric.

    Attributes:
        name: as the output shows it.
        mark: 12 digits that change with the definition: state of another definition is left to expire.
        kind: of the measure.
        parts: kinds of its parts.
        scales: decimals of its parts.
        slice_ms: length of a slice.
        windows: what it is shown over.
        at: probabilities of quantiles, as text.
        k: rows of a ranking.
        per: ms, of a rate.
        lag: ms.
        fill: windows.
        early: whether open windows are shown.
        dimensions: names, sorted.
        item: of a ranking, the dimension that the measure adds for what is ranked.
    """

    name: str
    mark: str
    kind: Kind
    parts: tuple[Kind, ...]
    scales: tuple[int, ...]
    slice_ms: int
    windows: tuple[Window, ...]
    at: tuple[str, ...]
    k: int
    per: int
    lag: int
    fill: int
    early: bool
    dimensions: tuple[str, ...] = ()
    item: str = ""

    @property
    def bounded(self) -> bool:
        """Whether it can have any number of series or items."""
        return bool(self.dimensions) or self.kind is Kind.TOP


@dataclass(frozen=True)
class Bound:
    """A metric bound to columns.

    Attributes:
        spec: what the kernel must know.
        parts: one aggregate, of a ratio two.
        dimensions: name -> text expression.
        currency: expression of the currency; None for what is no money.
        columns: columns of the stream that it reads.
        label: equal for equal dimensions and currencies.
    """

    spec: Spec
    parts: tuple[Aggregate, ...]
    dimensions: Mapping[str, pl.Expr]
    currency: pl.Expr | None
    columns: frozenset[str]
    label: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """All metrics of a job.

    Attributes:
        metrics: bound.
        timezone: IANA name, of windows of whole days.
        lateness: ms for which a window that is out is still revised.
        skipped: metric -> why it cannot be computed of this stream.
    """

    metrics: tuple[Bound, ...]
    timezone: str = "UTC"
    lateness: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def specs(self) -> tuple[Spec, ...]:
        """What the kernel must know."""
        return tuple(bound.spec for bound in self.metrics)

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the stream that any metric reads."""
        return frozenset[str]().union(*(bound.columns for bound in self.metrics))
