"""Rankings: exact sums per item, the greatest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np
import polars as pl

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.measures.base import (
    FINE,
    SLICE,
    UNIT,
    Aggregate,
    Columns,
    Described,
    Measure,
    Part,
    Slices,
    as_expression,
    count_of_rows,
)
from ecompulse.kernels.metrics.measures.parse import parse_part
from ecompulse.kernels.metrics.ranges import Ranges, SliceIndex, flat_rows
from ecompulse.kernels.metrics.typed import SCALE, Type, Typed

OTHER: Final = "__other__"
"""Stands for all items, or all dimensions, beyond `--max_series`."""

_MARK: Final = "\0"
"""Before an item that is called `__other__` itself, so that slices and state tell it from the sum of others."""

_MAX_K: Final = 1_000


@dataclass(frozen=True)
class TopOptions:
    """Beside `top`.

    Attributes:
        k: rows of the ranking.
        by: what ranks: `count` or a sum.
    """

    k: int = 10
    by: object = "count"

    def __post_init__(self) -> None:
        if not 1 <= self.k <= _MAX_K:
            raise ConfigError("k", f"must be 1 to {_MAX_K}, not {self.k}")


@dataclass(frozen=True)
class Top(Measure):
    """`top: expression`, the `k` texts with the most rows or the greatest sum (`by`): a row each, with its `rank`.

    Attributes:
        k: rows of a window.
    """

    name: ClassVar[str] = "top"
    options: ClassVar[type] = TopOptions
    dimension: ClassVar[str | None] = "rank"
    unbounded: ClassVar[bool] = True
    slices: ClassVar[Columns] = {}
    state: ClassVar[Columns] = {"items": pl.List(pl.String), "totals": pl.List(pl.Int128), "weights": pl.List(pl.Int64)}
    k: int = 10

    @classmethod
    def read(cls, given: object, where: Expression | None, options: TopOptions) -> Self:
        """What is ranked, then what ranks."""
        by = parse_part("by", options.by, "count", "sum")
        if by.where is not None:
            raise ConfigError("by.where", "give `where` beside `top`")
        return cls((Part(cls(), as_expression(given), where), Part(by.measure, by.of, where)), options.k)

    def aggregates(self, made: Sequence[Aggregate]) -> tuple[Aggregate, ...]:
        """One, of items by what ranks them."""
        ranked, by = made
        return (replace(ranked, scale=0, label=(*ranked.label, *by.label), by=by),)

    def column(self, found: Typed, text: str) -> tuple[pl.Expr, int]:
        """Text; ValueError for an amount, which is units without a currency."""
        if found.type is Type.AMOUNT:
            raise ValueError(f"{text!r}: {found.type.value} is no item to rank; rank by it, with `by`")
        return found.expr.cast(pl.String), 0

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """A row per slice, and one per item (`item`, `total`, `count`)."""
        total = pl.col("by").cast(pl.Int128).sum() if "by" in rows.columns else pl.len().cast(pl.Int128)
        known = rows.filter(pl.col("value").is_not_null()).group_by(*keys, item="value")
        items = known.agg(total.alias("total"), count_of_rows()).with_columns(_marked())
        return pl.concat([rows.group_by(keys).agg(count_of_rows()), items], how="diagonal")

    def merge(self, held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
        """Totals of equal items added."""
        old = held.filter(pl.col("items").is_not_null()).select(*SLICE, *self.state)
        old = old.explode(*self.state)
        new = fresh.filter(pl.col("item").is_not_null())
        new = new.select(*SLICE, items="item", totals="total", weights="count")
        sums = pl.concat([old, new]).group_by(*SLICE, "items").agg(pl.col("totals", "weights").sum())
        return sums.sort(*SLICE, "items").group_by(SLICE, maintain_order=True).agg("items", "totals", "weights")

    def rows(self, windows: pl.DataFrame, slices: Slices, specs: Sequence[Described]) -> pl.DataFrame:
        """A row per window and rank; `error` is what items beyond the admitted ones have together."""
        sketches = slices.of_measure(self.name)
        frames = []
        for (at,), chosen in windows.group_by("metric", maintain_order=True):
            assert isinstance(at, int)  # noqa: S101  # a position in specs
            spec = specs[at]
            found = rank_items(sketches, SliceIndex.windows(sketches, chosen), self.k)
            wanted = chosen.with_row_index("window_at").with_columns(pl.col("window_at").cast(pl.Int64))
            scaled = 10 ** (SCALE - spec.scales[0])
            item = pl.struct(pl.col("item").alias(spec.item)).struct.json_encode()
            found = found.rename({"window": "window_at"}).with_columns(
                numerator=pl.col("total") * scaled, slot=pl.format('"rank":{}', "rank")
            )
            found = found.with_columns(
                value=pl.col("numerator") * (FINE // UNIT),
                error=pl.col("other").cast(pl.Int128) * scaled * (FINE // UNIT),
                denominator=pl.lit(None, pl.Int128),
                extra=pl.concat_str(item.str.strip_prefix("{").str.strip_suffix("}"), "slot", separator=","),
            )
            frames.append(wanted.join(found, on="window_at", how="inner", maintain_order="left"))
        return pl.concat(frames)


def _called_other() -> pl.Expr:
    """An item `__other__`, with marks or none."""
    return pl.col("item").str.strip_chars_start(_MARK) == OTHER


def _marked() -> pl.Expr:
    return pl.when(_called_other()).then(pl.lit(_MARK) + pl.col("item")).otherwise("item").alias("item")


def _unmarked() -> pl.Expr:
    return pl.when(_called_other()).then(pl.col("item").str.slice(1)).otherwise("item").alias("item")


def rank_items(sketches: pl.DataFrame, windows: Ranges, k: int) -> pl.DataFrame:
    """The k items with the greatest total per window; ties by the item's text, `__other__` without a mark is no item.

    Args:
        sketches: `items` and `totals`, sorted by series and slice.
        windows: rows of `sketches` per window.
        k: how many.

    Returns:
        `window` (position in `windows`), `rank` from 1, `item`, `total` (Int128), `other` (the total of
        `__other__`: no item behind it can have more).
    """
    lengths = windows.stop - windows.start
    held = np.flatnonzero(lengths)
    rows, _ = flat_rows(Ranges(windows.start[held], windows.stop[held]))
    pairs = sketches.select("items", "totals")[rows].with_columns(window=pl.Series(np.repeat(held, lengths[held])))
    sums = pairs.explode("items", "totals").drop_nulls()
    sums = sums.group_by("window", item="items").agg(pl.col("totals").sum().alias("total"))
    folded = sums.filter(pl.col("item") == OTHER).select("window", other="total")
    ranked = (
        sums.filter(pl.col("item") != OTHER)
        .with_columns(_unmarked())
        .sort("window", "total", "item", descending=[False, True, False])
    )
    ranked = ranked.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("window"))
    ranked = ranked.filter(pl.col("rank") <= k).join(folded, on="window", how="left", maintain_order="left")
    return ranked.select("window", "rank", "item", "total", pl.col("other").fill_null(0))
