"""The cache in front of a store: two levels, lifetimes, single flight, counters.

First level: the batch. A step asks for each different key once. Second level: this, one per store and process,
shared by its threads: a dictionary from key to row number over columns that only grow, until they are made anew
without what is expired, replaced or least recently used. (A join against a million cached rows costs 10 to 200 ms
whatever the batch; 10,000 dictionary look-ups cost 6 ms.) There is no third level on disk: a monotonic clock does not
cross processes, and embedded stores are local already.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import polars as pl

from ecompulse.io.lookups.rows import CachedRows, Slots
from ecompulse.io.lookups.store import KEY, LookupFailed, Store
from ecompulse.kernels.enrich.lookup import FOUND_STATUS
from ecompulse.kernels.enrich.status import FAILED, MALFORMED, NOT_FOUND, STALE
from ecompulse.kernels.enrich.step import CacheConfig, OnError

Clock = Callable[[], int]
"""Monotonic milliseconds."""


def monotonic_ms() -> int:
    """The process's own clock."""
    return time.monotonic_ns() // 1_000_000


@dataclass
class Counters:
    """What happened, in keys (each counted once a batch), since the process began; `fetches` in requests."""

    asked: int = 0
    hits: int = 0
    negative_hits: int = 0
    misses: int = 0
    waited: int = 0
    fetches: int = 0
    found: int = 0
    malformed: int = 0
    failed_fetches: int = 0
    stale: int = 0
    failed: int = 0
    evicted: int = 0


@dataclass(eq=False)
class _Flight:
    """One request that is under way; who needs one of its keys waits for it."""

    keys: pl.Series
    done: threading.Event = field(default_factory=threading.Event)
    rows: pl.DataFrame | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Plan:
    """What one batch found in the cache, and what it must get.

    Attributes:
        rows: the cached rows as they were; `hits` and `expired` are row numbers in them.
        hits: fresh rows.
        expired: rows to fall back on.
        own: the request this batch makes.
        others: requests under way that hold some of its keys, with those keys.
    """

    rows: pl.DataFrame
    hits: Slots
    expired: Slots
    own: _Flight | None
    others: tuple[tuple[_Flight, list[str]], ...]


class CachedLookup:
    """A store behind its cache: what the enrichment steps ask (`ecompulse.kernels.enrich.lookup.Finder`).

    Freshness: an answer is at most `ttl` old (`negative_ttl` for "there is none"). Two threads that miss the same
    key make one request. When it fails, `degrade` gives nulls and `failed`; `stale` the expired row and `stale`,
    where there is one; `fail` raises. A failure is not remembered: the next batch asks again.
    """

    def __init__(
        self,
        store: Store,
        on_error: OnError = "degrade",
        config: CacheConfig | None = None,
        clock: Clock = monotonic_ms,
    ) -> None:
        self._store = store
        self._on_error = on_error
        self._clock = clock
        self._cached = CachedRows(store.columns, config or CacheConfig())
        self._lock = threading.Lock()
        self._in_flight: dict[str, _Flight] = {}
        self._counters = Counters()

    @property
    def columns(self) -> pl.Schema:
        """Columns of the store, without the key."""
        return self._store.columns

    def counters(self) -> Counters:
        """A copy of the counters."""
        with self._lock:
            return replace(self._counters, evicted=self._cached.evicted)

    def find(self, keys: pl.Series) -> pl.DataFrame:
        """`key`, `columns`, `status`: one row for each of `keys` (String, unique, no nulls), in any order.

        Raises:
            LookupFailed: the store failed, and the policy is `fail`.
        """
        plan = self._plan(keys.to_list())
        parts, lost, error = [plan.rows[plan.hits]], list[str](), None
        if plan.own is not None:
            self._fetch(plan.own)
        own = [(plan.own, plan.own.keys.to_list())] if plan.own else []
        for flight, wanted in chain(own, plan.others):
            flight.done.wait()
            if flight.rows is None:
                lost += wanted
                error = flight.error
            else:
                parts.append(_only(flight.rows, wanted))
        if lost:
            parts.append(self._without(lost, plan, error))
        return pl.concat(parts)

    def _plan(self, keys: list[str]) -> _Plan:
        with self._lock:
            slots = self._cached.locate(keys)
            fresh = self._cached.fresh(slots, self._clock())
            missing = [keys[place] for place in np.flatnonzero(~fresh)]
            others: dict[_Flight, list[str]] = {}
            mine: list[str] = []
            for key in missing:
                flight = self._in_flight.get(key)
                (mine if flight is None else others.setdefault(flight, [])).append(key)
            own = _Flight(pl.Series(KEY, mine, pl.String)) if mine else None
            if own is not None:
                self._in_flight.update(dict.fromkeys(mine, own))
            rows, hits = self._cached.rows, slots[fresh]
            self._count(rows[hits, FOUND_STATUS], asked=len(keys), misses=len(mine), others=len(missing) - len(mine))
            return _Plan(rows, hits, slots[~fresh & (slots >= 0)], own, tuple(others.items()))

    def _count(self, hits: pl.Series, *, asked: int, misses: int, others: int) -> None:
        absent = int((hits == NOT_FOUND).sum())
        self._counters.asked += asked
        self._counters.hits += hits.len() - absent
        self._counters.negative_hits += absent
        self._counters.misses += misses
        self._counters.waited += others
        self._counters.fetches += misses > 0

    def _fetch(self, flight: _Flight) -> None:
        """Ask the store, remember, and let everybody who waits go on, whatever happens."""
        try:
            found = _checked(self._store.fetch(flight.keys), flight.keys, self._store.columns)
            with self._lock:
                flight.rows = self._cached.put(flight.keys, found, self._clock())
                self._counters.found += found.height
                self._counters.malformed += _malformed(found)
        except Exception as error:  # noqa: BLE001  # any client's error is a failed look-up: the policy decides
            flight.error = error
            with self._lock:
                self._counters.failed_fetches += 1
        finally:
            with self._lock:
                for key in flight.keys:
                    self._in_flight.pop(key, None)
            flight.done.set()

    def _without(self, lost: list[str], plan: _Plan, error: Exception | None) -> pl.DataFrame:
        """Rows for keys whose request failed, as the policy says."""
        if self._on_error == "fail":
            raise LookupFailed(f"look-up failed: {error}") from error
        keys = pl.Series(KEY, lost, pl.String).to_frame()
        expired = _only(plan.rows[plan.expired], lost) if self._on_error == "stale" else plan.rows.clear()
        expired = expired.with_columns(pl.lit(STALE).alias(FOUND_STATUS))
        with self._lock:
            self._counters.stale += expired.height
            self._counters.failed += len(lost) - expired.height
        filled = keys.join(expired, on=KEY, how="left").select(plan.rows.columns)
        return filled.with_columns(pl.col(FOUND_STATUS).fill_null(FAILED))


def _only(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return rows.join(pl.Series(KEY, keys, pl.String).to_frame(), on=KEY, how="semi")


def _has_status(found: pl.DataFrame) -> bool:
    return FOUND_STATUS in found.columns


def _malformed(found: pl.DataFrame) -> int:
    return int((found[FOUND_STATUS] == MALFORMED).sum()) if _has_status(found) else 0


def _checked(found: pl.DataFrame, keys: pl.Series, columns: pl.Schema) -> pl.DataFrame:
    """The answer with exactly the declared columns, and only keys that were asked for, each once; see Store.fetch."""
    expected = pl.Schema({KEY: pl.String(), **columns, **({FOUND_STATUS: pl.String()} if _has_status(found) else {})})
    if dict(found.schema) != dict(expected):
        raise LookupFailed(f"the store gave {dict(found.schema)} instead of {dict(expected)}")
    found = found.select(list(expected)).filter(pl.col(KEY).is_in(keys.implode()))
    if found[KEY].n_unique() != found.height:
        raise LookupFailed("the store gave a key more than once")
    return found
