"""Distinct counts: the exact set of hashes while it is small, HyperLogLog registers when it is not.

Both depend on the set of values alone, not on order, cut or machine: xxHash3 without a seed, and registers that
take the greatest. A set becomes registers when it has more than `EXACT_LIMIT` members, in whichever step that is.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.metrics.measures.base import SLICE, UNIT, Columns, Measure, count_of_rows
from ecompulse.kernels.metrics.ranges import Ranges, flat_rows
from ecompulse.kernels.metrics.typed import Typed
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.segments import changes

EXACT_LIMIT: Final = 1024
PRECISION: Final = 12
REGISTERS: Final = 1 << PRECISION
STANDARD_ERROR: Final = 1.04 / REGISTERS**0.5
"""Relative, of one estimate (Flajolet et al. 2007)."""

BOUND: Final = 3 * STANDARD_ERROR
"""Relative; 99.7% of estimates are within it."""

_REST: Final = 64 - PRECISION
_TOP: Final = _REST + 1  # greatest rank
_CHUNK: Final = 4096  # rows of registers at a time: 16 MB

Matrix = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class Distinct(Measure):
    """`distinct: expression`: exact up to `EXACT_LIMIT` values in each slice, else estimated, with a bound."""

    name: ClassVar[str] = "distinct"
    plain: ClassVar[bool] = True
    slices: ClassVar[Columns] = {"hashes": pl.List(pl.UInt64), "registers": pl.List(pl.UInt8)}
    state: ClassVar[Columns] = slices

    def column(self, found: Typed, text: str) -> tuple[pl.Expr, int]:  # noqa: ARG002
        """Text."""
        return found.expr.cast(pl.String), 0

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """The set of hashes."""
        hashes = hashed(pl.col("value")).unique().drop_nulls().alias("hashes")
        return rows.group_by(keys).agg(count_of_rows(), hashes)

    def shrink(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Large sets become registers."""
        large = (pl.col("hashes").list.len() > EXACT_LIMIT).fill_null(value=False)
        if not rows.select(large.any()).item():
            return rows
        chosen, names = rows.filter(large), ("series", "slice", "part")
        packed = merge_sets(chosen, names).join(chosen.drop("hashes", "registers"), on=names)
        return pl.concat([rows.filter(~large), packed.select(rows.columns)])

    def merge(self, held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
        """One set per slice."""
        has = pl.col("hashes").is_not_null() | pl.col("registers").is_not_null()
        rows = pl.concat([part.filter(has).select(*SLICE, *self.state) for part in (held, fresh)])
        return merge_sets(rows, SLICE) if rows.height else rows

    def over(self, sketches: pl.DataFrame, windows: Ranges) -> Mapping[str, pl.Series]:
        """`distinct` and `error`."""
        counts, errors = count_distinct(sketches.with_columns(owner="sid"), windows)
        return {"distinct": pl.Series(counts), "error": pl.Series(errors)}

    def units(self) -> pl.Expr:
        """The estimate."""
        return pl.col("distinct").cast(pl.Int128) * UNIT

    def off(self) -> pl.Expr:
        """Three standard errors, 0 if it is exact."""
        return pl.col("error").cast(pl.Int128) * UNIT


def hashed(value: pl.Expr) -> pl.Expr:
    """The 64-bit hash of each text; two of a million collide with a probability of 3 in 10^8."""
    found: pl.Expr = value.nchash.xxh3_64(seed=0)  # type: ignore[attr-defined]
    return found


def merge_sets(sets: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """One set per key of sets that may share keys.

    Args:
        sets: `keys`, `hashes` and `registers`, of which one is null.
        keys: what names a set.

    Returns:
        The same columns, sorted by `keys`, each key once.
    """
    if sets["registers"].null_count() == sets.height and (sets["hashes"].list.len().sum() or 0) <= EXACT_LIMIT:
        every = pl.col("hashes").explode().drop_nulls().unique().sort()
        small = sets.group_by(keys).agg(every).sort(keys)  # no set can be large
        nothing = pl.lit(None, pl.List(pl.UInt8)).alias("registers")
        return small.select(*keys, pl.when(pl.col("hashes").list.len() > 0).then("hashes"), nothing)
    numbered = sets.select(*keys, "hashes", "registers").sort(keys)
    starts = numbered.select(pl.struct(keys).rle_id().cast(pl.Int64)).to_series()
    numbered = numbered.with_columns(_set=starts)
    members = numbered.select("_set", "hashes").drop_nulls().explode("hashes").unique().drop_nulls()
    sizes = members.group_by("_set").agg(pl.len().alias("size"))
    had = numbered.filter(pl.col("registers").is_not_null())["_set"].unique()
    dense = pl.concat([had, sizes.filter(pl.col("size") > EXACT_LIMIT)["_set"]]).unique().sort()
    small = members.filter(~pl.col("_set").is_in(dense.implode()))
    exact = small.group_by("_set").agg(pl.col("hashes").sort())
    found = numbered.unique("_set", keep="first", maintain_order=True).select(*keys, "_set")
    found = found.join(exact, on="_set", how="left", maintain_order="left")
    found = found.join(_dense_rows(numbered, members, dense), on="_set", how="left", maintain_order="left")
    return found.select(*keys, "hashes", "registers")


def _dense_rows(numbered: pl.DataFrame, members: pl.DataFrame, dense: pl.Series) -> pl.DataFrame:
    schema = pl.Schema({"_set": pl.Int64(), "registers": pl.List(pl.UInt8)})
    if dense.is_empty():
        return no_rows(schema)
    slot = {"_slot": pl.int_range(pl.len(), dtype=pl.Int64)}
    slots = dense.to_frame("_set").with_columns(**slot)
    matrix = _of_hashes(members.join(slots, on="_set").select("_slot", "hashes"), dense.len())
    held = numbered.filter(pl.col("registers").is_not_null()).join(slots, on="_set").sort("_slot")
    if held.height:
        rows, first = _matrix(held["registers"]), held["_slot"].to_numpy()
        starts = np.flatnonzero(changes(first))
        at = first[starts]
        matrix[at] = np.maximum(matrix[at], np.maximum.reduceat(rows, starts))
    return slots.select("_set", registers=as_lists(matrix))


def as_lists(matrix: Matrix) -> pl.Series:
    """Registers as a column."""
    return pl.Series("registers", matrix, dtype=pl.Array(pl.UInt8, REGISTERS)).cast(pl.List(pl.UInt8))


def _matrix(registers: pl.Series) -> Matrix:
    return registers.explode().to_numpy().reshape(-1, REGISTERS)


def _of_hashes(members: pl.DataFrame, sets: int) -> Matrix:
    """Registers of hashes (`_slot`, `hashes`): per slot and leading bits, the greatest rank of the other bits."""
    rest = pl.col("hashes") % (1 << _REST)
    ranked = members.select(
        pl.col("_slot") * REGISTERS + (pl.col("hashes") // (1 << _REST)).cast(pl.Int64),
        rank=(rest.bitwise_leading_zeros() - (PRECISION - 1)).cast(pl.UInt8),
    )
    best = ranked.group_by("_slot").agg(pl.col("rank").max())
    matrix = np.zeros(sets * REGISTERS, dtype=np.uint8)
    matrix[best["_slot"].to_numpy()] = best["rank"].to_numpy()
    return matrix.reshape(sets, REGISTERS)


def estimate(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Distinct counts of registers: the improved raw estimator of Ertl (arXiv 1702.01284, algorithm 6)."""
    counts = np.zeros((len(matrix), _TOP + 1))
    flat = matrix.astype(np.int64) + (np.arange(len(matrix)) * (_TOP + 1))[:, None]
    counts = np.bincount(flat.ravel(), minlength=counts.size).reshape(counts.shape).astype(np.float64)
    z = REGISTERS * _tau(1 - counts[:, _TOP] / REGISTERS)
    for rank in range(_REST, 0, -1):
        z = 0.5 * (z + counts[:, rank])
    z += REGISTERS * _sigma(counts[:, 0] / REGISTERS)
    with np.errstate(divide="ignore"):
        return np.asarray(REGISTERS**2 / (2 * np.log(2) * z))


def _sigma(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum of x^(2^k) 2^(k-1) from k = 1, plus x; infinite at 1."""
    y, z, power = np.ones_like(x), x.copy(), x.copy()
    for _ in range(64):
        power = power * power
        z = z + power * y
        y = 2 * y
    return np.where(x >= 1, np.inf, z)


def _tau(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A third of: 1 - x less the sum of (1 - x^(2^-k))^2 2^-k from k = 1; 0 at 0 and 1."""
    root, y, z = x.copy(), np.ones_like(x), 1 - x
    for _ in range(64):
        root = np.sqrt(root)
        y = 0.5 * y
        z = z - (1 - root) ** 2 * y
    return np.where((x <= 0) | (x >= 1), 0.0, z / 3)


def count_distinct(sets: pl.DataFrame, windows: Ranges) -> tuple[Ints, Ints]:
    """Distinct values per window, and how far each count may be off (0: it is exact).

    Args:
        sets: `owner` (any dense number of the series), `hashes`, `registers`, sorted by series and slice.
        windows: rows of `sets` per window, both bounds nondecreasing.
    """
    dense = sets["registers"].is_not_null().to_numpy()
    before = np.r_[0, np.cumsum(dense)]
    estimated = before[windows.stop] > before[windows.start]
    found = _exact(sets, windows)
    error = np.zeros_like(found)
    if estimated.any():
        guessed = _estimated(sets, Ranges(windows.start[estimated], windows.stop[estimated]))
        found[estimated] = np.rint(guessed).astype(np.int64)
        error[estimated] = np.ceil(guessed * BOUND).astype(np.int64)
    return found, error


def _exact(sets: pl.DataFrame, windows: Ranges) -> Ints:
    """Members whose last row before theirs lies before the window: each is counted once, in one pass for all."""
    sizes = np.r_[0, np.cumsum(sets["hashes"].list.len().fill_null(0).to_numpy())].astype(np.int64)
    if len(windows.start) == 0 or (windows.stop - windows.start).max() <= 1:
        return np.asarray(sizes[windows.stop] - sizes[windows.start])
    members = sets.select("owner", "hashes").with_row_index("row").drop_nulls().explode("hashes").drop_nulls()
    members = members.sort("owner", "hashes", "row")
    same = (pl.col("owner") == pl.col("owner").shift()) & (pl.col("hashes") == pl.col("hashes").shift())
    members = members.select(
        pl.col("row").cast(pl.Int64), last=pl.when(same).then(pl.col("row").shift().cast(pl.Int64))
    )
    row, last = members["row"].to_numpy(), members["last"].fill_null(-1).to_numpy()
    first = np.maximum(
        np.searchsorted(windows.stop, row, side="right"), np.searchsorted(windows.start, last, side="right")
    )
    after = np.searchsorted(windows.start, row, side="right")
    held = first < after
    size = len(windows.start) + 1
    steps = np.bincount(first[held], minlength=size) - np.bincount(after[held], minlength=size)
    return np.cumsum(steps)[:-1].astype(np.int64)


def _estimated(sets: pl.DataFrame, windows: Ranges) -> npt.NDArray[np.float64]:
    """Estimates of windows with registers in them, a few windows at a time."""
    lengths = np.cumsum(windows.stop - windows.start)
    cuts = np.flatnonzero(np.diff(lengths // _CHUNK)) + 1
    parts = []
    for chosen in np.split(np.arange(len(windows.start)), cuts):
        part = Ranges(windows.start[chosen], windows.stop[chosen])
        rows, begins = flat_rows(part)
        used, where = np.unique(rows, return_inverse=True)
        matrix = _registers(sets[used])
        parts.append(estimate(np.maximum.reduceat(matrix[where], begins)))
    return np.concatenate(parts)


def _registers(sets: pl.DataFrame) -> Matrix:
    numbered = sets.with_row_index("_slot").with_columns(pl.col("_slot").cast(pl.Int64))
    members = numbered.select("_slot", "hashes").drop_nulls().explode("hashes").drop_nulls()
    matrix = _of_hashes(members, sets.height)
    held = numbered.filter(pl.col("registers").is_not_null())
    if held.height:
        matrix[held["_slot"].to_numpy()] = _matrix(held["registers"])
    return matrix
