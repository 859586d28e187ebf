"""A bound on the series of a metric: which get rows of their own, and which are summed up as `__other__`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.event import TIME
from ecompulse.kernels.metrics.definition import DAY_MS
from ecompulse.kernels.metrics.measures.top import OTHER
from ecompulse.kernels.metrics.plan import Spec
from ecompulse.kernels.metrics.schemas import SEPARATOR, SERIES, slice_schema
from ecompulse.kernels.metrics.slices import series_prefix
from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

OVERFLOW: Final = "series_overflow"

_ADMITTED: Final = Table(
    "admitted",
    pl.Schema({"place": pl.String(), "candidate": pl.UInt64(), "expires": pl.Int64()}),
    key="place",
    expires="expires",
)
_PENDING: Final = "pending"


def bounded(slices: pl.DataFrame, specs: Sequence[Spec]) -> pl.DataFrame:
    """Slices of metrics that have dimensions or rank items, which must be admitted."""
    return slices.filter(_is_bounded(specs))


def unbounded(slices: pl.DataFrame, specs: Sequence[Spec]) -> pl.DataFrame:
    """Slices of all other metrics."""
    return slices.filter(~_is_bounded(specs))


def _is_bounded(specs: Sequence[Spec]) -> pl.Expr:
    return _prefix().is_in([series_prefix(spec) for spec in specs if spec.bounded])


@dataclass(frozen=True)
class LimitSeries:
    """Bounds the series of each metric per UTC day; the rest is folded into one whose dimensions are `__other__`.

    The first `limit` series of a day are admitted: by the slice in which each first has data, within a slice by
    hash. That is decided when the watermark has passed the slice, from all its rows; so who is admitted depends
    on the day's data alone, not on order, cut or sharding of input within the watermark delay. Until then slices of
    a series not yet admitted wait here, so what follows must be an epoch behind
    (`Operator.lag`), and early rows of new series come later. Items of
    a ranking count as series; beyond the limit they are summed up as the item `__other__`, and so is what was late.

    What that does not promise: the admitted need not be the largest, and a series may have rows of its own on one day
    and none on the next; a sliding window over midnight may hold parts of it in both.

    Keying: metric and UTC day. State: `admitted`, 8 bytes per series of a day, for two days; `pending`, the waiting
    slices, of at most the watermark delay.

    Attributes:
        specs: the metrics.
        limit: `--max_series`, per metric.
        name: of the operator.

    Outputs: `slices` for `CombineSlices`; `quality`, partial counts of `data_quality` (check
    `series_overflow`, subject the metric: folded rows of all rows).
    """

    specs: tuple[Spec, ...]
    limit: int = 10_000
    name: str = "limit_series"
    version: int = field(default=1, init=False)
    holds: ClassVar = 0

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"max_series must be 1 or more, not {self.limit}")

    @property
    def inputs(self) -> pl.Schema:
        """Slices."""
        return slice_schema(part for spec in self.specs for part in spec.parts)

    @property
    def _pending(self) -> pl.Schema:
        return pl.Schema({"place": pl.String(), **self.inputs, "due": pl.Int64()})

    @property
    def tables(self) -> Sequence[Table]:
        """`admitted` and `pending`, by metric and day."""
        return (_ADMITTED, Table(_PENDING, self._pending, key="place", due="due"))

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Slices, and what was folded."""
        return {"slices": self.inputs, "quality": PARTIAL_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """Metric and day of the slice."""
        day = (pl.col("slice") // DAY_MS).cast(pl.String)
        return batch.select(key=pl.concat_str(_prefix(), day, separator=SEPARATOR)).to_series()

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Pass what is admitted, fold what is not, keep what cannot be decided yet."""
        fresh = batch.select(self.inputs.names()).with_columns(place=self.key(batch))
        fresh = fresh.with_columns(due=self._ends()).select(self._pending.names())
        ripe = state.due(_PENDING, clock.watermark)["place"]
        places = pl.concat([fresh["place"], ripe]).unique()
        admitted = state.lookup(_ADMITTED.name, places)
        rows = pl.concat([state.lookup(_PENDING, places), fresh]).with_columns(
            _series=_hash(pl.col(SERIES)),
            _item=_hash(pl.concat_str(SERIES, "item", separator=SEPARATOR)),
        )
        admitted = self._admit(rows, admitted, clock)
        rows = self._decided(rows, admitted, clock)
        out = self._folded(rows.filter(~pl.col("_waits")))
        waiting = rows.filter("_waits").select(self._pending.names())
        # Who is admitted must outlive, with those who wait, any leap of the watermark.
        bound = pl.col("place").is_in(waiting["place"].unique().implode())
        day = pl.col("place").str.split(SEPARATOR).list.last().cast(pl.Int64) * DAY_MS
        admitted = admitted.with_columns(expires=pl.when(bound).then(END_OF_TIME).otherwise(day + 3 * DAY_MS))
        outputs = {"slices": out.select(self.inputs.names()), "quality": self._quality(out)}
        return Step(outputs, {_ADMITTED.name: Change(places, admitted), _PENDING: Change(places, waiting)})

    def _ends(self) -> pl.Expr:
        lengths = {series_prefix(spec): spec.slice_ms for spec in self.specs}
        return pl.col("slice") + _prefix().replace_strict(lengths, default=DAY_MS, return_dtype=pl.Int64)

    def _admit(self, rows: pl.DataFrame, admitted: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """The admitted after this step: places go to new candidates of slices that are over, in their order."""
        over = rows.filter(pl.col("due") <= clock.watermark)
        items = over.filter(pl.col("item").is_not_null())
        candidates = pl.concat([
            over.select("place", "slice", "due", candidate="_series", _kind=pl.lit(0)),
            items.select("place", "slice", "due", candidate="_item", _kind=pl.lit(1)),
        ])  # fmt: skip
        candidates = candidates.join(admitted, on=["place", "candidate"], how="anti")
        order = ("place", "slice", "_kind", "candidate")
        candidates = candidates.sort(order).unique(["place", "candidate"], keep="first", maintain_order=True)
        taken = admitted.group_by("place").agg(pl.len().alias("_taken"))
        ranked = candidates.join(taken, on="place", how="left", maintain_order="left").with_columns(
            _rank=pl.int_range(pl.len()).over("place") + pl.col("_taken").fill_null(0)
        )
        new = ranked.filter(pl.col("_rank") < self.limit).with_columns(expires=pl.lit(END_OF_TIME, pl.Int64))
        return pl.concat([admitted, new.select(_ADMITTED.schema.names())])

    def _decided(self, rows: pl.DataFrame, admitted: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """Rows with `_own` (the series is admitted), `_listed` (the item is) and `_waits`."""
        full = admitted.group_by("place").agg(_full=pl.len() >= self.limit)
        marks = admitted.select("place", "candidate", _own=pl.lit(value=True))
        rows = rows.join(marks, left_on=["place", "_series"], right_on=["place", "candidate"], how="left")
        marks = marks.rename({"_own": "_listed"})
        rows = rows.join(marks, left_on=["place", "_item"], right_on=["place", "candidate"], how="left")
        rows = rows.join(full, on="place", how="left")
        own, listed, full_ = (pl.col(name).fill_null(value=False) for name in ("_own", "_listed", "_full"))
        known = own & (listed | pl.col("item").is_null())
        over = pl.col("due") <= clock.watermark if clock.watermark < END_OF_TIME else pl.lit(value=True)
        return rows.with_columns(_own=own, _listed=listed, _waits=~known & ~full_ & ~over)

    def _folded(self, rows: pl.DataFrame) -> pl.DataFrame:
        others = {
            series_prefix(spec): "{" + ",".join(f'"{name}":"{OTHER}"' for name in spec.dimensions) + "}"
            for spec in self.specs
        }
        other = _prefix().replace_strict(others, default="{}", return_dtype=pl.String)
        currency = pl.col(SERIES).str.splitn(SEPARATOR, 4).struct.field("field_2")
        folded = pl.concat_str(_prefix(), currency, other, separator=SEPARATOR)
        item = pl.when(pl.col("item").is_not_null() & ~(pl.col("_own") & pl.col("_listed"))).then(pl.lit(OTHER))
        return rows.with_columns(
            pl.when("_own").then(SERIES).otherwise(folded).alias(SERIES), pl.coalesce(item, "item").alias("item"),
            _folded=~pl.col("_own") | item.is_not_null(),
        )  # fmt: skip

    def _quality(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows (events, of a ranking those of its items) that were folded, per slice and metric, of all.

        Also where none were: what a step sees of a slice depends on the cut, its share of all rows must not.
        """
        ranks = {series_prefix(spec): spec.measure.unbounded for spec in self.specs}
        ranking = _prefix().replace_strict(ranks, default=False, return_dtype=pl.Boolean)
        counted = rows.filter(pl.col("item").is_not_null() == ranking, pl.col("part") == 0)
        subject = pl.col(SERIES).str.splitn(SEPARATOR, 4).struct.field("field_1")
        told = counted.group_by(window_start=pl.col("slice").cast(TIME), subject=subject).agg(
            pl.col("count").filter("_folded").sum().alias("count"), pl.col("count").sum().alias("rows")
        )
        told = told.with_columns(check_name=pl.lit(OVERFLOW))
        return told.select(PARTIAL_SCHEMA.names()).sort("window_start", "subject")


def _prefix() -> pl.Expr:
    """Mark and name of the metric of a series' text."""
    parts = pl.col(SERIES).str.splitn(SEPARATOR, 3)
    return pl.concat_str(parts.struct.field("field_0"), parts.struct.field("field_1"), separator=SEPARATOR)


def _hash(text: pl.Expr) -> pl.Expr:
    found: pl.Expr = text.nchash.xxh3_64(seed=0)  # type: ignore[attr-defined]
    return found
