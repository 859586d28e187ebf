"""Slices of each series are kept until no window needs them; windows come out behind the watermark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.metrics.measure import Kind
from ecompulse.kernels.metrics.merge import merge_plain, merge_sketches
from ecompulse.kernels.metrics.plan import Plan, Spec
from ecompulse.kernels.metrics.say import Saying, definitions
from ecompulse.kernels.metrics.schemas import (
    EXACT,
    METRIC_SCHEMA,
    SEPARATOR,
    SERIES,
    SKETCH_SCHEMA,
    SLICE_SCHEMA,
    STATE_SCHEMA,
    VALUE,
)
from ecompulse.kernels.metrics.slices import series_prefix
from ecompulse.kernels.metrics.values import Slices, evaluate
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

SLICES: Final = "slices"
SKETCHES: Final = "sketches"
_SKETCHED: Final = (Kind.DISTINCT, Kind.QUANTILES, Kind.TOP)


@dataclass(frozen=True)
class AggregateMetrics:
    """Metrics of the slices that `to_slices` makes.

    A window comes out as final once the watermark has passed its end and the metric's lag, if it holds data or is
    one of the `fill` windows after one that does: then it is a zero (null for what has no value without data). Rows
    that come late, but within the lateness, revise what is out: the row comes again with the same id and a greater
    `revision` (the epoch). Later rows are dropped here, slice by slice; `late_rows` has them. What is not dropped
    counts in every window that is shown from then on. With `early`, a step
    with fresh rows also shows, as not final, the first open window that holds each fresh slice.

    Invariance: final rows but for `revision` are the same for any order, cut and sharding of input within the
    watermark delay. Draining closes all windows, those that are filled too; when the input goes on, windows that end
    after a series' last slice are open again, and are shown once more.

    Keying: the series, that is metric, currency and dimensions; a definition that has changed begins new series, and
    state of the old one is dropped when it is next met. State: `slices`, about 100 bytes per slice and part, rewritten
    when the series is touched; `sketches`, only for distinct counts (8 kB at most per slice), quantiles and rankings.
    A slice expires with the lateness of its last window. Cost of a step: the series that have rows or a window to
    show; a window costs two look-ups in prefix sums, of a sketch the lists of its slices.

    Attributes:
        specs: the metrics (`Plan.specs`).
        timezone: of windows of whole days.
        lateness: ms.
        name: of the operator.

    Output: `metrics`.
    """

    specs: tuple[Spec, ...]
    timezone: str = "UTC"
    lateness: int = 0
    name: str = "metrics"
    version: int = field(default=1, init=False)

    @staticmethod
    def of(plan: Plan) -> "AggregateMetrics":
        """The kernel of a plan."""
        return AggregateMetrics(plan.specs, plan.timezone, plan.lateness)

    @property
    def inputs(self) -> pl.Schema:
        """Slices."""
        return SLICE_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """`slices` and `sketches`, by series."""
        return (
            Table(SLICES, STATE_SCHEMA, key=SERIES, due="due", expires="expires"),
            Table(SKETCHES, SKETCH_SCHEMA, key=SERIES, expires="expires"),
        )

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Metric rows."""
        return {"metrics": METRIC_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The series."""
        return batch[SERIES]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Add the slices of a step; show what has closed."""
        ripe = state.due(SLICES, clock.watermark)
        keys = pl.concat([batch[SERIES], ripe[SERIES]]).unique().sort()
        if keys.is_empty():
            return Step({"metrics": pl.DataFrame(schema=METRIC_SCHEMA)})
        others = keys.filter(~keys.is_in(ripe[SERIES].unique().implode()))
        held = pl.concat([ripe, state.lookup(SLICES, others)])
        series = self._series(keys)
        known = series.filter(pl.col("metric").is_not_null())
        sketched = self._sketched(known)
        held_sketches = state.lookup(SKETCHES, sketched)
        fresh, old, old_sketches = (
            frame.join(known.select(SERIES, "sid", "metric"), on=SERIES) for frame in (batch, held, held_sketches)
        )
        saying, slices = self._merged(fresh, old, old_sketches, clock)
        metrics = self._shown(saying, slices, known, clock)
        return Step({"metrics": metrics}, self._changes(saying, slices, known, keys, sketched))

    def _series(self, keys: pl.Series) -> pl.DataFrame:
        """`series`, `sid`, `metric` (position in specs; null for a definition that is gone), currency, dimensions."""
        names = ["mark", "name", "currency", "dimensions"]
        split = keys.to_frame(SERIES).with_columns(
            pl.col(SERIES).str.splitn(SEPARATOR, len(names)).struct.rename_fields(names).struct.unnest()
        )
        prefixes = {series_prefix(spec): at for at, spec in enumerate(self.specs)}
        prefix = pl.concat_str("mark", "name", separator=SEPARATOR)
        position = prefix.replace_strict(prefixes, default=None, return_dtype=pl.Int64)
        sid = pl.int_range(pl.len(), dtype=pl.Int64)
        return split.with_columns(metric=position, sid=sid, currency=pl.when(pl.col("currency") != "").then("currency"))

    def _sketched(self, known: pl.DataFrame) -> pl.Series:
        wanted = [at for at, spec in enumerate(self.specs) if set(spec.parts) & set(_SKETCHED)]
        return known.filter(pl.col("metric").is_in(wanted))[SERIES]

    def _merged(
        self, fresh: pl.DataFrame, held: pl.DataFrame, sketches: pl.DataFrame, clock: Clock
    ) -> tuple[Saying, Slices]:
        """Slices with the fresh rows that are not too late, and what is to be said of them."""
        plain = merge_plain(held, fresh)
        saying = self._saying(plain, held, fresh, clock)
        dropped = saying.too_late()
        if dropped.height:
            fresh = fresh.join(dropped, on=["sid", "slice"], how="anti")
            plain = merge_plain(held, fresh)
            saying = self._saying(plain, held, fresh, clock)
        merged = merge_sketches(sketches, fresh)
        kinds = {
            (at, number): kind.value for at, spec in enumerate(self.specs) for number, kind in enumerate(spec.parts)
        }
        metric = pl.concat([held.select("sid", "metric"), fresh.select("sid", "metric")]).unique("sid")
        named = pl.DataFrame(
            [(at, number, kind) for (at, number), kind in kinds.items()],
            schema={"metric": pl.Int64, "part": pl.Int8, "kind": pl.String},
            orient="row",
        )
        merged = merged.join(metric, on="sid", how="left", maintain_order="left")
        merged = merged.join(named, on=["metric", "part"], how="left", maintain_order="left")
        return saying, Slices(plain, merged)

    def _saying(self, plain: pl.DataFrame, held: pl.DataFrame, fresh: pl.DataFrame, clock: Clock) -> Saying:
        said = held.group_by("sid").agg(pl.col("said").first())
        metric = pl.concat([held.select("sid", "metric"), fresh.select("sid", "metric")]).unique("sid")
        marks = plain.group_by("sid", "slice").agg(pl.col("fresh").any())
        marks = marks.join(metric, on="sid").join(said, on="sid", how="left").sort("sid", "slice")
        return Saying(marks, definitions(self.specs, self.timezone), self.timezone, clock.watermark, self.lateness)

    def _shown(self, saying: Saying, slices: Slices, known: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        windows = saying.windows()
        if windows.is_empty():
            return pl.DataFrame(schema=METRIC_SCHEMA)
        told = evaluate(windows, slices, self.specs).join(known.drop("metric"), on="sid", how="left")
        own, slot = (_with_members(pl.col("dimensions"), pl.col(name)) for name in ("extra", "slot"))
        told = told.with_columns(
            id=row_id("name", "window", "start", slot, "currency"),
            metric="name",
            dimensions=own,
            window_start=pl.col("start").cast(TIME),
            window_end=pl.col("end").cast(TIME),
            numerator=_decimal("numerator", EXACT),
            denominator=_decimal("denominator", EXACT),
            value=_decimal("value", VALUE),
            error_bound=_decimal("error", VALUE),
            revision=pl.lit(clock.epoch, pl.Int64),
        )
        return told.select(METRIC_SCHEMA.names()).sort("metric", "window_start", "window_end", "dimensions", "id")

    def _changes(
        self, saying: Saying, slices: Slices, known: pl.DataFrame, keys: pl.Series, sketched: pl.Series
    ) -> Mapping[str, Change]:
        heads, lives = saying.upkeep()
        names = known.select(SERIES, "sid")
        lives = lives.filter(pl.col("expires") > saying.expired)
        rows = slices.plain.join(lives, on=["sid", "slice"]).join(heads, on="sid").join(names, on="sid")
        changes = {SLICES: Change(keys, rows.select(STATE_SCHEMA.names()))}
        if sketched.len():
            kept = slices.sketches.join(lives, on=["sid", "slice"]).join(names, on="sid")
            changes[SKETCHES] = Change(sketched, kept.select(SKETCH_SCHEMA.names()))
        return changes


def _with_members(dimensions: pl.Expr, members: pl.Expr) -> pl.Expr:
    """A JSON object with more members at its end."""
    opened = dimensions.str.strip_suffix("}")
    comma = pl.when(dimensions == "{}").then(pl.lit("")).otherwise(pl.lit(","))
    return pl.when(members == "").then(dimensions).otherwise(pl.concat_str(opened, comma, members, pl.lit("}")))


def _decimal(units: str, dtype: pl.Decimal) -> pl.Expr:
    """Whole units of a decimal as that decimal."""
    unit = pl.lit(f"{10**-dtype.scale:.{dtype.scale}f}").cast(dtype)
    return pl.col(units).cast(dtype) * unit
