"""Replay of dead letters into their job: an inbox in its checkpoint, which is a source of its own.

    replay/00000001.parquet        letters queued together: raw row, its position, the header of a CSV file, `seen_at`

A queued file is never changed and never removed: together they are the ledger of what was replayed. A letter is due
when its row was not queued yet, or has become a dead letter again since. File numbers are consecutive, taken by
exclusive create, so that two users who queue at the same time see each other's letters. The job reads the inbox like
any source, in the epochs of its own checkpoint: a replayed row meets the state that its neighbours left, and is sealed
and published once.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from ecompulse.epochs.protocols import EVENTS, REPLAY, Backlog, Split, Store
from ecompulse.kernels.event import POSITION_SCHEMA, RAW_SCHEMA, TIME

FOLDER: Final = "replay"
LETTERS: Final = pl.Schema({**RAW_SCHEMA, "header": pl.String(), "seen_at": TIME})
"""Columns of a queued file; `header` is null except for rows of CSV."""

_POSITION: Final = list(POSITION_SCHEMA)


def reads_as(role: str) -> str:
    """The role in which rows of a source are decoded: replayed rows are events, but hold back no watermark."""
    return EVENTS if role == REPLAY else role


@dataclass
class ReplaySource:
    """The inbox of a checkpoint on the driver's side; its position in a file is the number of rows read."""

    store: Store
    index: int
    role: str = REPLAY
    _rows: dict[str, int] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """Where the inbox is."""
        return f"{self.store.root}/{FOLDER}"

    def plan(self, positions: Mapping[str, Any], max_rows: int, tops: Mapping[int, int], *, whole: bool) -> Backlog:
        """The next letters in the order in which they were queued."""
        del tops, whole
        splits: list[Split] = []
        changed: dict[str, Any] = {}
        left = 0
        names = self.store.list(FOLDER)
        for name in names:
            at, rows = positions.get(name, 0), self._height(name)
            end = min(rows, at + max(0, max_rows))
            if end > at:
                splits.append(Split(self.index, 0, name, at, end, end - at))
                changed[name] = end
                max_rows -= end - at
            left += rows - end
        return Backlog(splits, changed, frozenset(() if left else (0,)), frozenset((0,) if names else ()), left)

    def reads(self) -> frozenset[str]:
        """Name of the inbox."""
        return frozenset((self.uri,))

    def columns(self, most: int) -> Iterator[tuple[str, Sequence[str]]]:
        """None: rows name their own fields."""
        del most
        return iter(())

    def reader(self) -> "ReplayReader":
        """The worker's side."""
        return ReplayReader(self.store)

    def _height(self, name: str) -> int:
        if name not in self._rows:
            self._rows[name] = read_letters(self.store, name).height
        return self._rows[name]


@dataclass(frozen=True)
class ReplayReader:
    """Reads queued letters: the raw rows, with their original positions."""

    store: Store

    def read(self, split: Split) -> Iterator[pl.DataFrame]:
        """One batch per header: `RAW_SCHEMA`, and for rows of CSV also `header`."""
        letters = read_letters(self.store, split.uri).slice(split.start, split.end - split.start)
        for (header,), rows in letters.partition_by("header", as_dict=True, maintain_order=True).items():
            yield rows.select([*RAW_SCHEMA.names(), *([] if header is None else ["header"])])


def read_letters(store: Store, name: str) -> pl.DataFrame:
    """The letters of a queued file."""
    return pl.read_parquet(io.BytesIO(store.get(name))).cast(dict(LETTERS))  # type: ignore[arg-type]  # a Schema


def queue(store: Store, choose: Callable[[pl.DataFrame], pl.DataFrame]) -> int:
    """Queue the letters (LETTERS) that `choose` returns for the ledger; returns how many."""
    while True:
        names = store.list(FOLDER)
        letters = choose(ledger(store)).sort(*_POSITION)
        if letters.is_empty():
            return 0
        buffer = io.BytesIO()
        letters.select(LETTERS.names()).write_parquet(buffer)
        if store.create(f"{FOLDER}/{len(names) + 1:08d}.parquet", buffer.getvalue()):
            return letters.height


def ledger(store: Store) -> pl.DataFrame:
    """Position and latest `seen_at` of every letter that was ever queued."""
    empty = pl.DataFrame(schema=LETTERS).select(*_POSITION, "seen_at")
    read = [read_letters(store, name).select(*_POSITION, "seen_at") for name in store.list(FOLDER)]
    return pl.concat([empty, *read]).group_by(_POSITION, maintain_order=True).agg(pl.col("seen_at").max())


def due(letters: pl.DataFrame, replayed: pl.DataFrame) -> pl.DataFrame:
    """The latest letter of each row that was not queued yet or has become a dead letter again since."""
    latest = letters.sort("seen_at").unique(_POSITION, keep="last", maintain_order=True)
    known = latest.join(replayed.rename({"seen_at": "queued"}), on=_POSITION, how="left", maintain_order="left")
    return known.filter(pl.col("queued").is_null() | (pl.col("seen_at") > pl.col("queued"))).drop("queued")
