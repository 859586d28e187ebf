"""Metrics ready to be computed, as `binding.bind` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.metrics.definition import Window
from ecompulse.kernels.metrics.measures.base import Aggregate, Measure
from ecompulse.kernels.metrics.schemas import SLICE_SCHEMA

PARTS: Final = 2  # of a measure, at the most: what a ratio divides, and by what


@dataclass(frozen=True)
class Spec:
    """What a kernel must know of a metric.

    Attributes:
        name: as the output shows it.
        mark: 12 digits that change with the definition: state of another definition is left to expire.
        measure: what it is worth, without its parts.
        parts: how the rows of each of its parts are aggregated.
        scales: decimals of its parts.
        slice_ms: length of a slice.
        windows: what it is shown over.
        lag: ms.
        fill: windows.
        early: whether open windows are shown.
        dimensions: names, sorted.
        item: of a ranking, the dimension that the measure adds for what is ranked.
    """

    name: str
    mark: str
    measure: Measure
    parts: tuple[Measure, ...]
    scales: tuple[int, ...]
    slice_ms: int
    windows: tuple[Window, ...]
    lag: int
    fill: int
    early: bool
    dimensions: tuple[str, ...] = ()
    item: str = ""

    @property
    def bounded(self) -> bool:
        """Whether it can have any number of series or items."""
        return bool(self.dimensions) or self.measure.unbounded

    @property
    def jumbled(self) -> bool:
        """Whether the dimensions that the measure adds do not all belong behind the metric's own."""
        names = [*self.dimensions, *filter(None, (self.item, self.measure.dimension))]
        return names != sorted(names)


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
        slices: schema of partial aggregates of all metrics, those computed elsewhere too.
    """

    metrics: tuple[Bound, ...]
    timezone: str = "UTC"
    lateness: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    slices: pl.Schema = field(default_factory=lambda: SLICE_SCHEMA)

    @property
    def specs(self) -> tuple[Spec, ...]:
        """What the kernel must know."""
        return tuple(bound.spec for bound in self.metrics)

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the stream that any metric reads."""
        return frozenset[str]().union(*(bound.columns for bound in self.metrics))
