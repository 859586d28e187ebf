"""Quantiles: counts in buckets of whole numbers that grow by 2%, so that an estimate is at most 1% off.

A DDSketch (Masson, Rim and Lee, VLDB 2019) over integers: bucket edges are computed in integers, and so are
equal on every machine; a bucket of small numbers holds one number and is exact. Merging adds counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.measures.base import (
    SLICE,
    Columns,
    Described,
    Measure,
    Part,
    Slices,
    as_expression,
    count_of_rows,
    decimal_text,
    half_even,
)
from ecompulse.kernels.metrics.ranges import Ranges, SliceIndex, flat_rows

ALPHA: Final = 0.01
"""Greatest relative error of an estimate."""

_GROWTH: Final = (101, 99)  # (1 + ALPHA) / (1 - ALPHA)


@dataclass(frozen=True)
class AtOptions:
    """Beside `quantiles`.

    Attributes:
        at: probabilities.
    """

    at: tuple[Decimal, ...] = (Decimal("0.5"), Decimal("0.95"), Decimal("0.99"))

    def __post_init__(self) -> None:
        if not self.at or not all(0 <= q <= 1 for q in self.at):
            raise ConfigError("at", "give probabilities from 0 to 1")
        if len(set(self.at)) < len(self.at):
            raise ConfigError("at", "a probability is given twice")


@dataclass(frozen=True)
class Quantiles(Measure):
    """`quantiles: expression`, `at` some probabilities: a row for each, told apart by the dimension `quantile`.

    Attributes:
        at: probabilities.
    """

    name: ClassVar[str] = "quantiles"
    options: ClassVar[type] = AtOptions
    dimension: ClassVar[str | None] = "quantile"
    slices: ClassVar[Columns] = {"buckets": pl.List(pl.Int64), "weights": pl.List(pl.Int64)}
    state: ClassVar[Columns] = slices
    at: tuple[Decimal, ...] = ()

    @classmethod
    def read(cls, given: object, where: Expression | None, options: AtOptions) -> Self:
        """Of numbers."""
        return cls((Part(cls(), as_expression(given), where),), options.at)

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """Rows per bucket."""
        known = rows.filter(pl.col("value").is_not_null())
        counted = known.with_columns(buckets_of(known["value"])).group_by(*keys, "bucket").agg(weight=pl.len())
        lists = counted.group_by(keys).agg(buckets=pl.col("bucket"), weights=pl.col("weight").cast(pl.Int64))
        return pl.concat([rows.group_by(keys).agg(count_of_rows()), lists], how="diagonal")

    def merge(self, held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
        """Weights of equal buckets added."""
        has = pl.col("buckets").is_not_null()
        rows = pl.concat([part.filter(has).select(*SLICE, *self.state) for part in (held, fresh)])
        if rows.is_empty():
            return rows
        counts = rows.explode("buckets", "weights").group_by(*SLICE, "buckets").agg(pl.col("weights").sum())
        return counts.sort(*SLICE, "buckets").group_by(SLICE, maintain_order=True).agg("buckets", "weights")

    def rows(self, windows: pl.DataFrame, slices: Slices, specs: Sequence[Described]) -> pl.DataFrame:
        """A row per window and probability, null where the window has no values."""
        sketches = slices.of_measure(self.name)
        frames, texts = [], tuple(decimal_text(q) for q in self.at)
        for (at,), chosen in windows.group_by("metric", maintain_order=True):
            assert isinstance(at, int)  # noqa: S101  # a position in specs
            wanted = chosen.with_row_index("window_at").with_columns(pl.col("window_at").cast(pl.Int64))
            asked = wanted.join(pl.DataFrame({"quantile": texts}), how="cross")
            found = quantiles(sketches, SliceIndex.windows(sketches, chosen), texts)
            estimate, bound = representative(found["bucket"].to_numpy())
            unit = pl.lit(10 ** specs[at].scales[0], pl.Int128)
            found = found.with_columns(estimate, bound).with_columns(
                value=half_even(pl.col("estimate"), unit), error=(pl.col("bound") + unit - 1) // unit
            )
            found = found.rename({"window": "window_at"})
            frames.append(asked.join(found, on=["window_at", "quantile"], how="left", maintain_order="left"))
        member = pl.format('"quantile":"{}"', "quantile")
        nothing = pl.lit(None, pl.Int128)
        return pl.concat(frames).with_columns(numerator=nothing, denominator=nothing, extra=member, slot=member)


def _edges() -> npt.NDArray[np.int64]:
    """Least number of each bucket of positive numbers, from 1, up to 10^18."""
    edges, low = [], 1
    while low <= 10**18:
        edges.append(low)
        low = low * _GROWTH[0] // _GROWTH[1] + 1
    return np.array([*edges, low], dtype=np.int64)


EDGES: Final = _edges()


def buckets_of(values: pl.Series) -> pl.Series:
    """Bucket of each number (Int64, none null): 0 for 0, negative for negative ones."""
    numbers = values.to_numpy()
    found = np.searchsorted(EDGES, np.abs(numbers), side="right")
    return pl.Series("bucket", np.sign(numbers) * found, dtype=pl.Int64)


def _ends(buckets: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Least and greatest absolute value of buckets."""
    place = np.maximum(np.abs(buckets) - 1, 0)
    zero = buckets == 0
    return np.where(zero, 0, EDGES[place]), np.where(zero, 0, EDGES[place + 1] - 1)


def representative(buckets: npt.NDArray[np.int64]) -> tuple[pl.Series, pl.Series]:
    """The estimate for a bucket, and how far any number in it may be from it; in units of 1/10^6 of a value's.

    Between ends a and b it is 2ab/(a+b): at most (b-a)/(b+a) <= `ALPHA` from both, relatively.
    """
    low, high = (pl.Series(name, ends, dtype=pl.Int128) for name, ends in zip("ab", _ends(buckets), strict=True))
    frame = pl.DataFrame([low, high, pl.Series("sign", np.sign(buckets), dtype=pl.Int128)])
    whole = (pl.col("a") + pl.col("b")).replace(0, 1)
    # a + b < 2^61, so that the product with 10^6 stays in 128 bits only after dividing b apart.
    shift = pl.col("b") - pl.col("a")
    off = pl.col("a") * shift // whole
    rest = (pl.col("a") * shift % whole) * 1_000_000 // whole
    estimate = (pl.col("a") + off) * 1_000_000 + rest
    bound = pl.max_horizontal(pl.col("b") * 1_000_000 - estimate, estimate - pl.col("a") * 1_000_000)
    shown = frame.select(estimate=estimate * pl.col("sign"), bound=bound)
    return shown["estimate"], shown["bound"]


def quantiles(sketches: pl.DataFrame, windows: Ranges, at: tuple[str, ...]) -> pl.DataFrame:
    """The least value with at least a share q of the values at or below it, per window and q.

    Args:
        sketches: `buckets` and `weights`, sorted by series and slice.
        windows: rows of `sketches` per window.
        at: probabilities, as decimal text.

    Returns:
        `window` (position in `windows`), `quantile` (text), `bucket`; no rows for a window without values.
    """
    lengths = windows.stop - windows.start
    held = np.flatnonzero(lengths)
    rows, _ = flat_rows(Ranges(windows.start[held], windows.stop[held]))
    pairs = sketches.select("buckets", "weights")[rows].with_columns(window=pl.Series(np.repeat(held, lengths[held])))
    counts = pairs.explode("buckets", "weights").drop_nulls()
    counts = counts.group_by("window", "buckets").agg(pl.col("weights").sum()).sort("window", "buckets")
    counts = counts.with_columns(
        below=pl.col("weights").cum_sum().over("window"), size=pl.col("weights").sum().over("window")
    )
    found = []
    for text in at:
        whole, _, decimals = text.partition(".")
        share, unit = int(whole + decimals), 10 ** len(decimals)
        rank = pl.max_horizontal((pl.col("size").cast(pl.Int128) * share + (unit - 1)) // unit, 1)
        first = counts.filter(pl.col("below") >= rank).unique("window", keep="first", maintain_order=True)
        found.append(first.select("window", quantile=pl.lit(text), bucket="buckets"))
    return pl.concat(found)
