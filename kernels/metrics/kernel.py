"""Slices of each series are kept until no window needs them; windows are emitted behind the watermark."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.decode.strict_json import canonical
from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.metrics.emission import Emission, Emitted
from ecompulse.kernels.metrics.measures.base import Measure, Slices
from ecompulse.kernels.metrics.measures.registry import BUILT_IN
from ecompulse.kernels.metrics.merge import merge_plain, merge_sketches, pack, unpack
from ecompulse.kernels.metrics.plan import PARTS, Plan, Spec
from ecompulse.kernels.metrics.schemas import (
    EXACT,
    METRIC_SCHEMA,
    SEPARATOR,
    SERIES,
    STATE_SCHEMA,
    VALUE,
    sketch_schema,
    slice_schema,
)
from ecompulse.kernels.metrics.slices import series_prefix
from ecompulse.kernels.metrics.values import evaluate
from ecompulse.kernels.metrics.window_columns import WindowColumns
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

SLICES: Final = "slices"
SKETCHES: Final = "sketches"


@dataclass(frozen=True)
class CombineSlices:
    """Metrics of the slices that `to_slices` makes.

    A window is emitted as final once the watermark has passed its end plus the metric's lag, if it holds data or is one
    of the `fill` windows after one that does. An empty window is a zero (null for measures that have no value without
    data). Rows that are late, but within the allowed lateness, revise emitted windows: the row is emitted again with
    the same id and a greater `revision` (the epoch). Later rows are dropped here, slice by slice; `late_rows` has them.
    Rows that are not dropped count in every window that is emitted from then on. With `early`, a step with fresh rows
    also shows, as not final, the first open window that holds each fresh slice.

    Invariance: final rows, except `revision`, are the same for any order, cut and sharding of input within the
    watermark delay. Draining closes all windows, those that are filled too; when the input goes on, windows that end
    after a series' last slice are open again, and are emitted once more.

    Keying: the series, that is metric, currency and dimensions; a definition that has changed begins new series, and
    state of the old one is dropped when it is next met. State: `slices`, a row per series with about 33 bytes per slice
    and part, rewritten when the series is touched; `sketches`, a row per slice, only for distinct counts (8 kB at
    most), quantiles and rankings. A slice is dropped when its last window is closed for good, a series when all its
    windows are. Cost of a step: the series that have rows or a window to emit. A window costs two look-ups in prefix
    sums, or, for a sketch, the lists of its slices.

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
    def of(plan: Plan) -> "CombineSlices":
        """The kernel of a plan."""
        return CombineSlices(plan.specs, plan.timezone, plan.lateness)

    @property
    def inputs(self) -> pl.Schema:
        """Slices."""
        return slice_schema(self._measures)

    @property
    def _measures(self) -> Sequence[Measure]:
        """How parts of the metrics are aggregated, each once."""
        return list(dict.fromkeys(part for spec in self.specs for part in spec.parts))

    @property
    def _sketches(self) -> pl.Schema:
        """The columns do not depend on the metrics: a checkpoint can gain metrics."""
        return sketch_schema([*(measure() for measure in BUILT_IN), *self._measures])

    @property
    def tables(self) -> Sequence[Table]:
        """`slices` and `sketches`, by series."""
        return (
            Table(SLICES, STATE_SCHEMA, key=SERIES, due="due", expires="expires"),
            Table(SKETCHES, self._sketches, key=SERIES, expires="expires"),
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
        series = self._series(keys)
        known = series.filter(series["metric"].is_not_null())
        if known.is_empty():
            gone = Change(keys, no_rows(STATE_SCHEMA))
            return Step({"metrics": no_rows(METRIC_SCHEMA)}, {SLICES: gone} if keys.len() else {})
        others = keys.filter(~keys.is_in(ripe[SERIES].implode()))
        held = pl.concat([ripe, state.lookup(SLICES, others)])
        sketched = self._with(known, lambda measure: bool(measure.state))
        named = known[[SERIES, "sid", "metric"]]
        fresh, old, sketches = (
            frame.join(named, on=SERIES) for frame in (batch, held, state.lookup(SKETCHES, sketched[SERIES]))
        )
        heads = known[["sid", "metric"]].join(old[["sid", "said"]], on="sid", how="left")
        windows = WindowColumns.of(self.specs, self.timezone)
        emission = Emission(heads, windows, self.timezone, clock.watermark, self.lateness)
        late = emission.too_late(fresh["sid"].to_numpy(), fresh["slice"].to_numpy())
        fresh = fresh.filter(~pl.Series(late))
        slices = self._merged(fresh, old.sort("sid"), sketches, series["metric"])
        marks = slices.marks()
        said = emission.say(marks)
        metrics = self._shown(said.windows, slices, series, clock)
        return Step({"metrics": metrics}, self._changes(said, marks, slices, known, keys))

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

    def _with(self, known: pl.DataFrame, has: Callable[[Measure], bool]) -> pl.DataFrame:
        """Series of metrics with a part that is aggregated so."""
        wanted = np.array([any(has(part) for part in spec.parts) for spec in self.specs])
        return known[np.flatnonzero(wanted[known["metric"].to_numpy()])]

    def _merged(self, fresh: pl.DataFrame, held: pl.DataFrame, sketches: pl.DataFrame, metrics: pl.Series) -> Slices:
        """Slices with the fresh rows added; `metrics`: position in specs by `sid`."""
        keeping = [measure for measure in self._measures if measure.state]
        merged = merge_sketches(sketches, fresh, keeping)
        metric = metrics[merged["sid"].to_numpy()]
        names = [spec.parts[n].name if n < len(spec.parts) else "" for spec in self.specs for n in range(PARTS)]
        measure = pl.Series(names)[metric.to_numpy() * PARTS + merged["part"].to_numpy()]
        merged = merged.with_columns(metric.alias("metric"), measure.alias("measure"))
        return Slices(merge_plain(unpack(held), fresh), merged)

    def _shown(self, windows: pl.DataFrame, slices: Slices, series: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        if windows.is_empty():
            return no_rows(METRIC_SCHEMA)
        metrics = evaluate(windows, slices, self.specs)
        metrics = metrics.hstack(series[["name", "currency", "dimensions"]][metrics["sid"].to_numpy()])
        own, slot = (_with_members(pl.col("dimensions"), pl.col(name)) for name in ("extra", "slot"))
        jumbled = np.array([spec.jumbled for spec in self.specs])[metrics["metric"].to_numpy()]
        if jumbled.any():
            # Few metrics need this; `slot` stays, for the ids of rows come from it.
            own = pl.coalesce(pl.when(pl.lit(pl.Series(jumbled))).then(own).map_elements(_sorted, pl.String), own)
        metrics = metrics.with_columns(
            id=row_id("name", "window_size", "start", slot, "currency"),
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
        return metrics.select(METRIC_SCHEMA.names()).sort("metric", "window_start", "window_end", "dimensions", "id")

    def _changes(
        self, said: Emitted, marks: pl.DataFrame, slices: Slices, known: pl.DataFrame, keys: pl.Series
    ) -> Mapping[str, Change]:
        """Slices that are still needed, of series that are."""
        heads = said.heads.with_columns(keys[said.heads["sid"].to_numpy()])
        plain, sketches = slices.plain, slices.sketches
        if not said.keep.all():
            plain, sketches = (_those(rows, marks.filter(said.keep)) for rows in (plain, sketches))
        packed = pack(plain, self._with(known, lambda measure: measure.extremes)["sid"]).join(heads, on="sid")
        changes = {SLICES: Change(keys, packed.select(STATE_SCHEMA.names()))}
        sketched = self._with(known, lambda measure: bool(measure.state))[SERIES]
        if sketched.len():
            rows = sketches.join(heads, on="sid")
            changes[SKETCHES] = Change(sketched, rows.select(self._sketches.names()))
        return changes


def _those(rows: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Rows of some slices, in their order."""
    return rows.join(kept, on=["sid", "slice"], how="semi", maintain_order="left")


def _with_members(dimensions: pl.Expr, members: pl.Expr) -> pl.Expr:
    """A JSON object with more members at its end."""
    opened = dimensions.str.strip_suffix("}")
    comma = pl.when(dimensions == "{}").then(pl.lit("")).otherwise(pl.lit(","))
    return pl.when(members == "").then(dimensions).otherwise(pl.concat_str(opened, comma, members, pl.lit("}")))


def _sorted(text: str) -> str:
    """A JSON object with its keys in order."""
    return canonical(json.loads(text))


def _decimal(units: str, dtype: pl.Decimal) -> pl.Expr:
    """Whole units of a decimal as that decimal."""
    unit = pl.lit(f"{10**-dtype.scale:.{dtype.scale}f}").cast(dtype)
    return pl.col(units).cast(dtype) * unit
