"""Sorted runs: a shard's keyed state as a log-structured merge of immutable files.

Each step that changes a table adds one run: the rows of the keys that it touched, sorted by the keys'
fingerprints. A key's rows are those of the newest run that knows it; a run may say that a key has none. Runs
are merged when the older is less than twice the newer, so that a table of n rows has about log2(n / rows per
step) runs, each row is rewritten that often, and a step's cost follows the rows it touches.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.step import Table

HI: Final = "__hi"
LO: Final = "__lo"
LIVE: Final = "__live"
SHARD: Final = "__shard"
GROWTH: Final = 2

Fingerprints = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]


@dataclass(frozen=True)
class RunRef:
    """A run as a seal names it."""

    file: str
    rows: int
    bytes: int
    sha256: str

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Run:
    """A run in memory: rows sorted by fingerprint; immutable."""

    def __init__(self, frame: pl.DataFrame) -> None:
        """`frame`: stored columns, sorted by (HI, LO)."""
        self.frame = frame
        self.hi = frame[HI].to_numpy()
        self.lo = frame[LO].to_numpy()

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return int(self.frame.estimated_size()) + self.hi.nbytes + self.lo.nbytes

    def find(self, hi: npt.NDArray[np.uint64], lo: npt.NDArray[np.uint64]) -> tuple[pl.DataFrame, Any]:
        """Rows of these fingerprints (sorted by hi), and which of them the run knows (boolean array)."""
        left = np.searchsorted(self.hi, hi, side="left")
        right = np.searchsorted(self.hi, hi, side="right")
        counts = right - left
        owner = np.repeat(np.arange(len(hi)), counts)
        starts = np.repeat(left - np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(counts) else left, counts)
        rows = starts + np.arange(len(owner))
        same = self.lo[rows] == lo[owner]  # two keys may share the first 64 bits
        known = np.zeros(len(hi), dtype=bool)
        known[owner[same]] = True
        return self.frame[rows[same]], known

    def dump(self) -> bytes:
        """As an Arrow IPC file."""
        buffer = io.BytesIO()
        self.frame.write_ipc(buffer, compression="lz4")
        return buffer.getvalue()

    @staticmethod
    def load(data: bytes) -> "Run":
        """The inverse of `dump`."""
        return Run(pl.read_ipc(io.BytesIO(data)))


def stored_columns(table: Table) -> list[str]:
    """Columns of a table as stored."""
    return [name for name in table.schema if table.keep_key or name != table.key]


def make_run(table: Table, keys: pl.Series, rows: pl.DataFrame) -> Run:
    """A run from a change: `rows` of `keys`, and marks for keys without rows."""
    columns = stored_columns(table)
    prints = fingerprint(rows[table.key])
    live = rows.select(columns).with_columns(
        prints["hi"].alias(HI), prints["lo"].alias(LO), pl.lit(value=True).alias(LIVE)
    )
    if table.shard_by:
        live = live.with_columns(fingerprint(rows[table.shard_by])["lo"].alias(SHARD))
    touched = fingerprint(keys.unique().drop_nulls()).rename({"hi": HI, "lo": LO})
    gone = touched.join(live.select(HI, LO).unique(), on=[HI, LO], how="anti")
    marks = gone.with_columns(pl.lit(value=False).alias(LIVE))
    frame = pl.concat([live, marks], how="diagonal")
    return Run(frame.sort(HI, LO, maintain_order=True).rechunk())


def merge(older: Run, newer: Run, *, bottom: bool, expires: str | None, watermark: int) -> Run:
    """One run in place of two neighbours.

    With `bottom` (no run is older than these) marks of absent keys and expired rows are dropped.
    """
    # Not `find`: a key may have many rows in both, and each of one would meet each of the other.
    known = newer.frame.select(HI, LO).unique()
    kept = older.frame.join(known, on=[HI, LO], how="anti", maintain_order="left")
    frame = pl.concat([kept, newer.frame])
    if bottom:
        frame = frame.filter(LIVE)
        if expires:
            frame = frame.filter(pl.col(expires) > watermark)
    return Run(frame.sort(HI, LO, maintain_order=True).rechunk())


def compact(runs: Sequence[Run], *, expires: str | None, watermark: int) -> tuple[int, list[Run]]:
    """Merge the newest runs as the growth rule asks: how many old runs stay, and the new ones after them."""
    stack = list(runs)
    kept = len(stack) - 1
    while len(stack) > 1 and stack[-2].frame.height < GROWTH * stack[-1].frame.height:
        newer, older = stack.pop(), stack.pop()
        stack.append(merge(older, newer, bottom=not stack, expires=expires, watermark=watermark))
        kept = len(stack) - 1
    return kept, stack[kept:]


def lookup(runs: Sequence[Run], prints: pl.DataFrame) -> pl.DataFrame | None:
    """Live rows of these distinct fingerprints over all runs, newest first; None when there is no run."""
    ordered = prints.drop_nulls().unique().sort("hi", "lo")
    hi, lo = ordered["hi"].to_numpy(), ordered["lo"].to_numpy()
    found = []
    for run in reversed(runs):
        if not len(hi):
            break
        rows, known = run.find(hi, lo)
        found.append(rows)
        hi, lo = hi[~known], lo[~known]
    return pl.concat(found).filter(LIVE) if found else None


def latest(runs: Sequence[Run]) -> pl.DataFrame:
    """All live rows of a table: each key's, of the newest run that knows it."""
    whole = runs[0]
    for newer in runs[1:]:
        whole = merge(whole, newer, bottom=False, expires=None, watermark=0)
    return whole.frame.filter(LIVE)


def digest(data: bytes) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(data).hexdigest()
