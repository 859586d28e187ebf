"""The state of one shard of one operator: as a kernel's step sees it, and as the step changes it."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Final, TypeVar, cast

import polars as pl

from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.ordered_lists import Chunk, merged
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.runs import (
    HI,
    LO,
    Run,
    RunRef,
    check_types,
    compact,
    conformed,
    digest,
    latest,
    make_run,
    seek,
    stored_columns,
    truths,
)
from ecompulse.epochs.state_cache import Content, StateCache
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.key_hashes import KeyHashes, owners
from ecompulse.kernels.rows import conform, no_rows
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, Kernel, OrderedList, Table, Wait

_File = TypeVar("_File", bound=Content)
NEVER_STEPPED: Final = -(2**62)


_cache = StateCache()


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
        self._tables = {table.name: table for table in kernel.tables if isinstance(table, Table)}
        self._lists = {each.name: each for each in kernel.tables if isinstance(each, OrderedList)}
        self._clock = clock
        self._head = head or Head()
        self._store = store
        self._runs: dict[str, list[Run]] = {}
        self._chunks: dict[str, list[tuple[RunRef | None, Chunk]]] = {}
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
            return no_rows(spec.schema)
        names, asked = self._distinct(keys)
        rows = self._live(table, seek(runs, asked))
        if not spec.keep_key:
            rows = rows.with_columns(names[owners(asked, KeyHashes.of(rows, HI, LO))].alias(spec.key))
        return rows[list(spec.schema)]

    def due(self, table: str, until: int) -> pl.DataFrame:
        """All rows of each key that has a row with `due <= until`, or those of an ordered list; see StateView."""
        if table in self._lists:
            waiting = [chunk.between(self._horizon, until) for _, chunk in self._load_list(table)]
            return pl.concat(waiting) if waiting else no_rows(self._lists[table].schema)
        spec = self._tables[table]
        if spec.due is None:
            raise ValueError(f"state table {table} declares no due column")
        runs, ripe = self._load(table), []
        for run in runs:
            due = run.frame[spec.due]
            among = (due > self._head.stepped) & (due <= until)
            if among.any():
                ripe.append(run.key_hashes[truths(among)])
        columns = stored_columns(spec)
        if not ripe:
            return no_rows({name: spec.schema[name] for name in columns})
        rows = self._live(table, seek(runs, reduce(KeyHashes.then, ripe).distinct()))
        asked, key_hashes = truths(rows[spec.due] <= until), KeyHashes.of(rows, HI, LO)
        if not asked.all():
            rows = rows.filter(owners(key_hashes[asked].distinct(), key_hashes) >= 0)
        return rows[columns]

    def keep(self, changes: Mapping[str, Change | Wait]) -> None:
        """Apply changes in memory only."""
        for name, change in changes.items():
            if isinstance(change, Wait):
                self._chunks[name] = [*self._load_list(name), (None, Chunk(change.rows))]
            else:
                self._runs[name] = [*self._load(name), make_run(self._tables[name], change.keys, change.rows)]

    def apply(self, operator: str, shard: int, attempt: str, changes: Mapping[str, Change | Wait]) -> Head:
        """Write what a step changed as new files; returns the head of the new state."""
        for name, change in changes.items():
            declared = (self._lists if isinstance(change, Wait) else self._tables)[name].schema
            if change.rows.schema != declared:
                raise ValueError(f"{operator}: state {name} has {change.rows.schema}, declared {declared}")
        prefix = f"state/{operator}/{shard:05d}/{self._clock.epoch:08d}-{attempt}"
        tables = dict(self._head.tables)
        for name, change in changes.items():
            if isinstance(change, Change):
                tables[name] = self._replace(f"{prefix}-{name}", name, change)
        for name, spec in self._lists.items():
            wait = changes.get(name)
            rows = wait.rows if wait else no_rows(spec.schema)
            tables[name] = self._append(f"{prefix}-{name}", spec, rows)
        tables = {name: refs for name, refs in tables.items() if refs}
        return Head(tables, self._next_due(), self._horizon).passed(self._clock.watermark)

    def _replace(self, prefix: str, table: str, change: Change) -> list[RunRef]:
        """A table's files with the new rows of some keys."""
        spec, refs = self._tables[table], self._head.tables.get(table, [])
        run = make_run(spec, change.keys, change.rows)
        if not run.frame.height:
            return refs
        old = self._load(table)
        kept, fresh = compact([*old, run], expires=spec.expires, watermark=self._horizon)
        for ref in refs[kept:]:
            _cache.drop(ref.file)
        self._runs[table] = [*old[:kept], *fresh]
        return [*refs[:kept], *(self._write(prefix, new) for new in fresh)]

    def _append(self, prefix: str, spec: OrderedList, rows: pl.DataFrame) -> list[RunRef]:
        """An ordered list's files with rows that wait from now on, without those that the watermark has reached."""
        chunks = self._load_list(spec.name)
        stay, fresh = merged([chunk for _, chunk in chunks], rows, self._clock.watermark)
        for place, (ref, _) in enumerate(chunks):
            if ref and place not in stay:
                _cache.drop(ref.file)
        after = [chunks[place] for place in stay] + ([(None, fresh)] if fresh.frame.height else [])
        refs = [ref or self._write(prefix, chunk, spec.shard_by) for ref, chunk in after]
        self._chunks[spec.name] = [(ref, chunk) for ref, (_, chunk) in zip(refs, after, strict=True)]
        return refs

    @property
    def _horizon(self) -> int:
        """Watermark that expiry goes by: that of the epoch before.

        The watermark may leap past a row's `due` and `expires` at once, and the step must still see the row.
        """
        return self._head.stepped

    def _next_due(self) -> int | None:
        tables = {name: spec.due for name, spec in self._tables.items() if spec.due is not None}
        dues = [run.frame[due] for name, due in tables.items() for run in self._load(name)]
        dues += [chunk.due for name in self._lists for _, chunk in self._load_list(name)]
        smallest = [due.filter(due > self._clock.watermark).min() for due in dues]
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
            return no_rows({**spec.schema, HI: pl.UInt64(), LO: pl.UInt64()})
        if spec.expires is None or not rows.height:
            return rows
        lasting = rows[spec.expires] > self._horizon
        return rows if lasting.all(ignore_nulls=False) else rows.filter(lasting)

    def _load(self, table: str) -> list[Run]:
        if table not in self._runs:
            spec = self._tables[table]
            self._runs[table] = [conformed(self._read(ref, Run.load), spec) for ref in self._head.tables.get(table, [])]
        return self._runs[table]

    def _load_list(self, name: str) -> list[tuple[RunRef | None, Chunk]]:
        """Chunks of an ordered list, with the files that they are in."""
        if name not in self._chunks:
            spec, refs = self._lists[name], self._head.tables.get(name, [])
            if any(ref.shard_by is None for ref in refs):  # written when it was a keyed table
                rows = latest([self._read(ref, Run.load) for ref in refs])
                self._chunks[name] = [(None, Chunk(conform(rows, spec.schema)))]
            else:
                chunks = [(ref, self._read(ref, Chunk.load)) for ref in refs]
                for _, chunk in chunks:
                    check_types(chunk.frame.schema, spec.schema)
                self._chunks[name] = [(ref, Chunk(conform(chunk.frame, spec.schema))) for ref, chunk in chunks]
        return self._chunks[name]

    def _read(self, ref: RunRef, load: Callable[[bytes], _File]) -> _File:
        content = _cache.get(ref.file)
        if content is None:
            if self._store is None:
                raise StateDamaged(f"{ref.file}: no store to read it from")
            content = load(read_verified(self._store, ref.file, ref.sha256))
            self.loaded += ref.bytes
            _cache.put(ref.file, content)
        return cast("_File", content)

    def _write(self, prefix: str, content: Content, shard_by: str | None = None) -> RunRef:
        """The content as a file of its own."""
        if self._store is None:
            return RunRef("memory", content.frame.height, 0, "", shard_by)
        data = content.dump()
        name = f"{prefix}-{uuid.uuid4().hex[:8]}.arrow"
        self._store.create(name, data)
        _cache.put(name, content)
        return RunRef(name, content.frame.height, len(data), digest(data), shard_by)


def read_verified(store: Store, name: str, sha256: str) -> bytes:
    """A file that a seal names; StateDamaged, naming it, when it is missing or not what was sealed."""
    try:
        data = store.get(name)
    except FileNotFoundError:
        raise StateDamaged(f"{store.root}/{name} is missing") from None
    if digest(data) != sha256:
        raise StateDamaged(f"{store.root}/{name} is damaged: its content is not what was sealed")
    return data
