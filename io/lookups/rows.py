"""Cached rows in columns: which row a key has, until when, and when it was last wanted. Not thread-safe."""

from itertools import repeat
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.io.lookups.store import KEY
from ecompulse.kernels.enrich.lookup import FOUND_STATUS
from ecompulse.kernels.enrich.status import NOT_FOUND, OK
from ecompulse.kernels.enrich.step import CacheConfig

Slots = np.ndarray[Any, np.dtype[np.int64]]
"""Row numbers; -1 for a key that has none."""

_MAX_CHUNKS: Final = 16
_SLACK: Final = 4  # a quarter more rows than allowed are kept before the whole is made anew


class CachedRows:
    """Rows only grow at the end, so that a row number taken with `rows` stays right after later changes.

    Memory: at most 1.25 `max_rows` rows, 16 bytes and a dictionary entry each besides the columns.
    """

    def __init__(self, columns: pl.Schema, config: CacheConfig) -> None:
        self.config = config
        self.evicted = 0
        self.rows = pl.DataFrame(schema={KEY: pl.String(), **columns, FOUND_STATUS: pl.String()})
        self._slots: dict[str, int] = {}
        self._expires: Slots = np.empty(1024, np.int64)  # ms
        self._used: Slots = np.empty(1024, np.int64)  # number of the batch
        self._batch = 0

    def __len__(self) -> int:
        return len(self._slots)

    def locate(self, keys: list[str]) -> Slots:
        """The row number of each key."""
        return np.fromiter(map(self._slots.get, keys, repeat(-1)), np.int64, len(keys))

    def fresh(self, slots: Slots, now: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of the rows are there and not expired; those count as just used."""
        self._batch += 1
        mask: np.ndarray[Any, np.dtype[np.bool_]] = (slots >= 0) & (self._expires[slots] > now)
        self._used[slots[mask]] = self._batch
        return mask

    def put(self, keys: pl.Series, found: pl.DataFrame, now: int) -> pl.DataFrame:
        """Remember the answer for all of `keys` (unique): a row, or that there is none. Returns all as rows."""
        known = found if FOUND_STATUS in found.columns else found.with_columns(pl.lit(OK).alias(FOUND_STATUS))
        answer = keys.rename(KEY).to_frame().join(known, on=KEY, how="left", maintain_order="left")
        answer = answer.with_columns(pl.col(FOUND_STATUS).fill_null(NOT_FOUND)).select(self.rows.columns)
        start, stop = self.rows.height, self.rows.height + answer.height
        self._reserve(stop)
        lifetimes = pl.when(pl.col(FOUND_STATUS) == OK).then(self.config.ttl).otherwise(self.config.negative_ttl)
        self._expires[start:stop] = now + answer.select(lifetimes.cast(pl.Int64)).to_series().to_numpy()
        self._used[start:stop] = self._batch
        self._slots.update(zip(answer[KEY], range(start, stop), strict=True))
        self.rows = self.rows.vstack(answer)
        self._tidy()
        return answer

    def _tidy(self) -> None:
        if self.rows.height > self.config.max_rows + self.config.max_rows // _SLACK:
            self._rebuild()
        elif self.rows.n_chunks() > _MAX_CHUNKS:
            self.rows = self.rows.rechunk()

    def _rebuild(self) -> None:
        """New rows without replaced ones, and without those not used for the longest time."""
        live = np.fromiter(self._slots.values(), np.int64, len(self._slots))
        if len(live) > self.config.max_rows:
            order = np.argsort(self._used[live], kind="stable")
            self.evicted += len(live) - self.config.max_rows
            live = live[order[len(live) - self.config.max_rows :]]
        self._expires, self._used = self._expires[live], self._used[live]
        self.rows = self.rows[live].rechunk()
        self._slots = dict(zip(self.rows[KEY], range(len(live)), strict=True))

    def _reserve(self, size: int) -> None:
        if size > len(self._expires):
            more = np.zeros(max(size, 2 * len(self._expires)) - len(self._expires), np.int64)
            self._expires = np.concatenate([self._expires, more])
            self._used = np.concatenate([self._used, more])
