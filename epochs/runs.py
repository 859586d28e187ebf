"""Sorted runs: a shard's keyed state as a log-structured merge of immutable files.

Each step that changes a table adds one run: the rows of the keys that it touched, sorted by the keys'
fingerprints. A key's rows are those of the newest run that knows it; a run may record that a key has no rows. Runs are
merged when the older is less than twice the newer, so that a table of n rows has about log2(n / rows per step) runs,
each row is rewritten that often, and a step's cost depends on the rows it touches.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.key_hashes import KeyHashes, Layer
from ecompulse.kernels.segments import Flags, Places
from ecompulse.kernels.step import Table

HI: Final = "__hi"
LO: Final = "__lo"
LIVE: Final = "__live"
SHARD: Final = "__shard"
GROWTH: Final = 2


@dataclass(frozen=True)
class RunRef:
    """A run as a seal names it.

    Attributes:
        file: path in the checkpoint.
        rows: in it, those that no step can see any more included.
        bytes: size of the file.
        sha256: of its content.
        shard_by: of a chunk of an ordered list, the column with the key that its rows are sharded by.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    shard_by: str | None = None

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Run:
    """A run in memory: rows sorted by fingerprint; immutable."""

    def __init__(self, frame: pl.DataFrame) -> None:
        """`frame`: stored columns, sorted by (HI, LO)."""
        self.frame = frame
        self.key_hashes = KeyHashes.of(frame, HI, LO)
        live = frame[LIVE]
        self._dead = None if live.all() else ~live.to_numpy()

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return int(self.frame.estimated_size()) + self.key_hashes.hi.nbytes + self.key_hashes.lo.nbytes

    def find(self, asked: KeyHashes) -> tuple[Places, Flags]:
        """Places of the live rows of these distinct fingerprints, and which of them the run knows."""
        places, owner = self.key_hashes.find(asked)
        known = np.zeros(asked.size, dtype=bool)
        known[owner] = True
        return places if self._dead is None else places[~self._dead[places]], known

    def dump(self) -> bytes:
        """As a state file."""
        return dump_frame(self.frame)

    @staticmethod
    def load(data: bytes) -> "Run":
        """The inverse of `dump`."""
        return Run(load_frame(data))


def dump_frame(frame: pl.DataFrame) -> bytes:
    """Rows as a state file holds them: an Arrow IPC file."""
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="lz4")
    return buffer.getvalue()


def load_frame(data: bytes) -> pl.DataFrame:
    """The inverse of `dump_frame`."""
    return pl.read_ipc(io.BytesIO(data))


def stored_columns(table: Table) -> list[str]:
    """Columns of a table as stored."""
    return [name for name in table.schema if table.keep_key or name != table.key]


def conformed(run: Run, table: Table) -> Run:
    """A run with the columns of its table: new columns are null, columns that are no longer used are left out."""
    check_types(run.frame.schema, table.schema)
    wanted = [*stored_columns(table), *(name for name in (HI, LO, LIVE, SHARD) if name in run.frame.columns)]
    if run.frame.columns == wanted:
        return run
    there = run.frame.schema
    return Run(
        run.frame.select(name if name in there else pl.lit(None, table.schema[name]).alias(name) for name in wanted)
    )


def check_types(stored: pl.Schema, wanted: pl.Schema) -> None:
    """UserError for a column that had another type when the rows were kept: that of a look-up was changed."""
    for name, dtype in stored.items():
        if wanted.get(name, dtype) != dtype:
            raise UserError(
                f"--checkpoint: rows that wait in it have {name} as {dtype}, the job has {wanted[name]}; "
                "use the old type or another --checkpoint"
            )


def make_run(table: Table, keys: pl.Series, rows: pl.DataFrame) -> Run:
    """A run from a change: `rows` of `keys`, and marks for keys without rows."""
    if rows[table.key].null_count():
        rows = rows.filter(pl.col(table.key).is_not_null())  # null is no key
    key_hashes = fingerprint(rows[table.key])
    columns = [rows[name] for name in stored_columns(table)]
    columns += [
        key_hashes["hi"].alias(HI),
        key_hashes["lo"].alias(LO),
        pl.Series(LIVE, np.ones(rows.height, dtype=bool)),
    ]
    if table.shard_by:
        columns.append(fingerprint(rows[table.shard_by])["lo"].alias(SHARD))
    live, told = pl.DataFrame(columns), KeyHashes.of(key_hashes)
    if keys.equals(rows[table.key]):
        return Run(_picked([live], told.order()))
    touched = KeyHashes.of(fingerprint(keys.drop_nulls()))
    both = told.then(touched)
    order = both.order()  # of one key its rows stand before the mark
    chosen = order[(order < told.size) | both[order].firsts()]
    if chosen.size == told.size:
        return Run(_picked([live], chosen))
    marks = pl.DataFrame({HI: touched.hi, LO: touched.lo, LIVE: np.zeros(touched.size, dtype=bool)})
    return Run(_picked([pl.concat([live, marks], how="diagonal")], chosen))


def _picked(frames: Sequence[pl.DataFrame], rows: Places) -> pl.DataFrame:
    """The picked rows of consecutive frames, as one frame."""
    whole = pl.concat(frames) if len(frames) > 1 else frames[0]
    if rows.size == whole.height and (rows[1:] > rows[:-1]).all():
        return whole.rechunk()
    if whole.n_chunks() == 1:
        return whole[rows]
    # A gather from several pieces is slower than a copy into one before it, but for lists, whose copy costs more.
    lists = [name for name, dtype in whole.schema.items() if isinstance(dtype, pl.List)]
    flat = whole[[name for name in whole.columns if name not in lists]].rechunk()[rows]
    return flat.hstack(whole[lists][rows])[whole.columns].rechunk() if lists else flat.rechunk()


def merge(runs: Sequence[Run], *, bottom: bool, expires: str | None, watermark: int) -> Run:
    """One run that replaces neighbouring runs, which are given oldest first.

    With `bottom` (no run is older than these) marks of absent keys and expired rows are dropped.
    """
    return _gathered(runs, _stacked(runs), bottom=bottom, expires=expires, watermark=watermark)


def compact(runs: Sequence[Run], *, expires: str | None, watermark: int) -> tuple[int, list[Run]]:
    """Merge the newest runs by the growth rule; returns how many old runs stay, and the new runs after them.

    Fingerprints alone decide which rows are kept; the rows themselves are gathered once.
    """
    kept = len(runs) - 1
    whole = _stacked(runs[kept:])
    begins = runs[kept].frame.height
    while kept and runs[kept - 1].frame.height < GROWTH * whole.rows.size:
        kept -= 1
        whole = _alone(runs[kept], begins).under(whole)
        begins += runs[kept].frame.height
    if kept == len(runs) - 1:
        return kept, [runs[kept]]
    return kept, [_gathered(runs[kept:], whole, bottom=not kept, expires=expires, watermark=watermark)]


def truths(column: pl.Series) -> Flags:
    """A boolean column for NumPy; null is false. To fill what is not there costs Polars a query."""
    return (column.fill_null(value=False) if column.null_count() else column).to_numpy()


def _alone(run: Run, begins: int) -> Layer:
    """A run whose rows are numbered from `begins`."""
    return Layer(run.key_hashes, np.arange(begins, begins + run.frame.height))


def _stacked(runs: Sequence[Run]) -> Layer:
    """Runs as one; rows are numbered from the newest run's on."""
    whole, begins = _alone(runs[-1], 0), runs[-1].frame.height
    for older in reversed(runs[:-1]):
        whole = _alone(older, begins).under(whole)
        begins += older.frame.height
    return whole


def _gathered(runs: Sequence[Run], whole: Layer, *, bottom: bool, expires: str | None, watermark: int) -> Run:
    """The rows of a stretch (numbered as `_stacked` does)."""
    frames, rows = [run.frame for run in reversed(runs)], whole.rows
    if bottom:
        rows = rows[pl.concat([frame[LIVE] for frame in frames]).to_numpy()[rows]]
        if expires:
            lasting = pl.concat([frame[expires] for frame in frames])[rows] > watermark
            rows = rows[truths(lasting)]
    return Run(_picked(frames, rows))


def lookup(runs: Sequence[Run], key_hashes: pl.DataFrame) -> pl.DataFrame | None:
    """Live rows of these fingerprints (`hi`, `lo`) over all runs, newest first; None when there is no run."""
    return seek(runs, KeyHashes.of(key_hashes.drop_nulls()).distinct())


def seek(runs: Sequence[Run], asked: KeyHashes) -> pl.DataFrame | None:
    """`lookup` of fingerprints that are sorted and distinct."""
    found = []
    for run in reversed(runs):
        if not asked.size:
            break
        places, known = run.find(asked)
        if places.size:
            found.append(run.frame[places])
        if known.any():
            asked = asked[~known]
    return pl.concat(found) if found else runs[0].frame.clear() if runs else None


def latest(runs: Sequence[Run]) -> pl.DataFrame:
    """All live rows of a table: each key's, of the newest run that knows it."""
    return merge(runs, bottom=True, expires=None, watermark=0).frame


def digest(data: bytes) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(data).hexdigest()
