"""The state of one shard of one operator: as a kernel's step sees it, and as the step changes it."""

import os
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Final

import polars as pl

from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.runs import HI, LO, Run, RunRef, compact, conformed, digest, make_run, seek
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.key_hashes import KeyHashes, owners
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, Kernel, Table

CACHE_MB: Final = "ECOMPULSE_STATE_CACHE_MB"
"""Environment variable: MB of state that one process keeps in memory, 2048 by default."""

CACHE_BYTES: Final = int(os.environ.get(CACHE_MB, "2048")) * 1024**2
NEVER_STEPPED: Final = -(2**62)


class RunCache:
    """LRU cache of the runs that this process has in memory.

    Files are never rewritten, and their names carry epoch and attempt, so that a cached run cannot be stale.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        """`limit` in bytes."""
        self._limit = limit
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> Run | None:
        """A run, if it is cached."""
        with self._lock:
            run = self._runs.get(name)
            if run is not None:
                self._runs.move_to_end(name)
            return run

    def put(self, name: str, run: Run) -> None:
        """Keep a run."""
        with self._lock:
            if name not in self._runs:
                self._bytes += run.nbytes
            self._runs[name] = run
            while self._bytes > self._limit and len(self._runs) > 1:
                self._bytes -= self._runs.popitem(last=False)[1].nbytes

    def drop(self, name: str) -> None:
        """Forget a run that was merged into another."""
        with self._lock:
            run = self._runs.pop(name, None)
            self._bytes -= run.nbytes if run else 0


_cache = RunCache()


@dataclass
class Head:
    """What a seal records of a shard: its runs per table, when it next needs a step, and its watermark."""

    tables: dict[str, list[RunRef]] = field(default_factory=dict)
    due: int | None = None
    stepped: int = NEVER_STEPPED
    version: int = 1

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        tables = {name: [ref.dump() for ref in refs] for name, refs in self.tables.items()}
        return {"tables": tables, "due": self.due, "stepped": self.stepped, "version": self.version}

    @staticmethod
    def load(raw: Mapping[str, Any] | None) -> "Head":
        """The inverse of `dump`; an empty head for None."""
        if raw is None:
            return Head()
        tables = {name: [RunRef(**ref) for ref in refs] for name, refs in raw["tables"].items()}
        return Head(tables, raw["due"], raw["stepped"], raw["version"])

    def passed(self, watermark: int) -> "Head":
        """The head after an epoch with this watermark, even if the shard got no rows in it.

        So the same rows have expired in all shards, however rows are sharded. A drain expires nothing.
        """
        return self if watermark >= END_OF_TIME else replace(self, stepped=watermark)


class ShardState:
    """StateView of one shard, and the writer of its next state. Without a store it lives in memory only."""

    def __init__(self, kernel: Kernel, clock: Clock, head: Head | None = None, store: Store | None = None) -> None:
        """`head` names the state before the step."""
        self._tables: dict[str, Table] = {table.name: table for table in kernel.tables}
        self._clock = clock
        self._head = head or Head()
        self._store = store
        self._runs: dict[str, list[Run]] = {}
        self._asked: tuple[pl.Series, pl.Series, KeyHashes] | None = None
        self.loaded = 0  # bytes read from the store, since no step of this process had them

    def at(self, clock: Clock) -> "ShardState":
        """The same state under a later clock."""
        self._clock = clock
        return self

    def lookup(self, table: str, keys: pl.Series) -> pl.DataFrame:
        """All rows of these keys; see StateView."""
        spec, runs = self._tables[table], self._load(table)
        if not runs:
            return pl.DataFrame(schema=spec.schema)
        names, asked = self._distinct(keys)
        rows = self._live(table, seek(runs, asked))
        if not spec.keep_key:
            rows = rows.with_columns(names[owners(asked, KeyHashes.of(rows, HI, LO))].alias(spec.key))
        return rows[list(spec.schema)]

    def due(self, table: str, until: int) -> pl.DataFrame:
        """All rows of each key that has a row with `due <= until`; see StateView."""
        spec = self._tables[table]
        if spec.due is None:
            raise ValueError(f"state table {table} declares no due column")
        runs, ripe = self._load(table), []
        for run in runs:
            due = run.frame[spec.due]
            among = (due > self._head.stepped) & (due <= until)
            if among.any():
                ripe.append(run.key_hashes[among.fill_null(value=False).to_numpy()])
        if not ripe:
            return pl.DataFrame(schema=spec.schema)
        rows = self._live(table, seek(runs, reduce(KeyHashes.then, ripe).distinct()))
        asked, key_hashes = (rows[spec.due] <= until).fill_null(value=False).to_numpy(), KeyHashes.of(rows, HI, LO)
        if not asked.all():
            rows = rows.filter(owners(key_hashes[asked].distinct(), key_hashes) >= 0)
        return rows[list(spec.schema)]

    def keep(self, changes: Mapping[str, Change]) -> None:
        """Apply changes in memory only."""
        for name, change in changes.items():
            self._runs[name] = [*self._load(name), make_run(self._tables[name], change.keys, change.rows)]

    def apply(self, operator: str, shard: int, attempt: str, changes: Mapping[str, Change]) -> Head:
        """Write what a step changed as new runs; returns the head of the new state."""
        tables = dict(self._head.tables)
        for name, change in changes.items():
            spec = self._tables[name]
            if change.rows.schema != spec.schema:
                raise ValueError(f"{operator}: state table {name} has {change.rows.schema}, declared {spec.schema}")
            run = make_run(spec, change.keys, change.rows)
            if not run.frame.height:
                continue
            old = self._load(name)
            kept, fresh = compact([*old, run], expires=spec.expires, watermark=self._horizon)
            refs = tables.get(name, [])
            for ref in refs[kept:]:
                _cache.drop(ref.file)
            folder = f"state/{operator}/{shard:05d}"
            tables[name] = [*refs[:kept], *(self._write(folder, name, attempt, new) for new in fresh)]
            self._runs[name] = [*old[:kept], *fresh]
        return Head(tables, self._next_due(), self._horizon).passed(self._clock.watermark)

    @property
    def _horizon(self) -> int:
        """Watermark that expiry goes by: that of the epoch before.

        The watermark may leap past a row's `due` and `expires` at once, and the step must still see the row.
        """
        return self._head.stepped

    def _next_due(self) -> int | None:
        smallest = []
        for name, spec in self._tables.items():
            if spec.due is None:
                continue
            dues = [run.frame[spec.due] for run in self._load(name)]
            smallest += [due.filter(due > self._clock.watermark).min() for due in dues]
        return min((int(value) for value in smallest if isinstance(value, int)), default=None)

    def _distinct(self, keys: pl.Series) -> tuple[pl.Series, KeyHashes]:
        """Distinct keys, by fingerprint; a step often looks up the same keys in several tables, one after the other."""
        if self._asked is None or self._asked[0] is not keys:
            names = keys.cast(pl.String).drop_nulls()
            key_hashes = KeyHashes.of(fingerprint(names))
            _, firsts = key_hashes.numbered()
            self._asked = keys, names[firsts], key_hashes[firsts]
        return self._asked[1:]

    def _live(self, table: str, rows: pl.DataFrame | None) -> pl.DataFrame:
        spec = self._tables[table]
        if rows is None:
            return pl.DataFrame(schema={**spec.schema, HI: pl.UInt64(), LO: pl.UInt64()})
        if spec.expires is None or not rows.height:
            return rows
        lasting = rows[spec.expires] > self._horizon
        return rows if lasting.all(ignore_nulls=False) else rows.filter(lasting)

    def _load(self, table: str) -> list[Run]:
        if table not in self._runs:
            spec = self._tables[table]
            self._runs[table] = [conformed(self._read(ref), spec) for ref in self._head.tables.get(table, [])]
        return self._runs[table]

    def _read(self, ref: RunRef) -> Run:
        run = _cache.get(ref.file)
        if run is None:
            if self._store is None:
                raise StateDamaged(f"{ref.file}: no store to read it from")
            run = Run.load(read_verified(self._store, ref.file, ref.sha256))
            self.loaded += ref.bytes
            _cache.put(ref.file, run)
        return run

    def _write(self, folder: str, table: str, attempt: str, run: Run) -> RunRef:
        if self._store is None:
            return RunRef("memory", run.frame.height, 0, "")
        data = run.dump()
        name = f"{folder}/{self._clock.epoch:08d}-{attempt}-{table}-{uuid.uuid4().hex[:8]}.arrow"
        self._store.create(name, data)
        _cache.put(name, run)
        return RunRef(name, run.frame.height, len(data), digest(data))


def read_verified(store: Store, name: str, sha256: str) -> bytes:
    """A file that a seal names; StateDamaged, naming it, when it is missing or not what was sealed."""
    try:
        data = store.get(name)
    except FileNotFoundError:
        raise StateDamaged(f"{store.root}/{name} is missing") from None
    if digest(data) != sha256:
        raise StateDamaged(f"{store.root}/{name} is damaged: its content is not what was sealed")
    return data
