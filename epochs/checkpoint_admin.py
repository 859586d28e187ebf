"""Operations on a checkpoint that no driver runs on: verify, fork, reshard."""

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl

from ecompulse.epochs.backup import ALERTS
from ecompulse.epochs.checkpoint import FORMAT, SINKS, last_commit, positions_after, read_meta, used_sinks
from ecompulse.epochs.errors import StateDamaged, UserError
from ecompulse.epochs.ordered_lists import Chunk
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.records import sign
from ecompulse.epochs.replay import FOLDER as REPLAYED
from ecompulse.epochs.runs import HI, LIVE, LO, SHARD, Run, RunRef, digest, latest
from ecompulse.epochs.seal import Seal, commit_name, epoch_of, load_commit, load_seal, seal_name, sealed, state_files
from ecompulse.epochs.state import Head, read_verified
from ecompulse.epochs.totals import Totals
from ecompulse.kernels.hashing import fingerprint, shard_of_fingerprint


def verify(store: Store, outputs: Store | None = None) -> Iterator[str]:
    """The defects of a checkpoint, one line each; empty when there are none.

    Every seal and commit that is kept is read, and every state file that the last commit needs is compared with its
    seal; with `outputs`, also the files of an epoch that is sealed but not yet published.
    """
    read_meta(store)
    last = last_commit(store)
    if last == 0:
        return
    broken = list(_broken_records(store, last))
    yield from broken
    needed = {seal_name(last), seal_name(last + 1)}
    if any(name in line for line in broken for name in needed):
        return
    for name, sha256 in state_files(sealed(store, last)).items():
        yield from _damage(store, name, sha256)
    pending = load_seal(store, last + 1)
    if pending and outputs:
        for files in pending.files.values():
            for file in files:
                yield from _damage(outputs, file["path"], file["sha256"])


def _broken_records(store: Store, last: int) -> Iterator[str]:
    """Seals and commits that are damaged, or that the last commit needs and that are missing."""
    reads: list[Callable[[], object]] = [lambda: positions_after(store, last)]  # seals down to a snapshot
    reads += [partial(load_seal, store, epoch_of(name)) for name in store.list("seals")]
    reads += [partial(load_commit, store, epoch_of(name)) for name in store.list("commits")]
    found = dict.fromkeys(line for read in reads for line in _damaged(read))
    yield from found


def _damaged(read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except StateDamaged as error:
        yield str(error)


def _damage(store: Store, name: str, sha256: str) -> Iterator[str]:
    yield from _damaged(lambda: read_verified(store, name, sha256))


def fork(source: Store, target: Store, epoch: int | None) -> str:
    """Start a new checkpoint from a committed epoch of another; returns its id.

    It has an id of its own, so sinks treat what it publishes as new. It therefore refuses the sinks of the old one.
    """
    epoch = last_commit(source) if epoch is None else epoch
    seal = _committed(source, epoch)
    _require_empty(target)
    for name, sha256 in state_files(seal).items():
        target.create(name, read_verified(source, name, sha256))
    meta, positions = read_meta(source), positions_after(source, epoch)
    _copy_letters(source, target, {name for known in positions for name in known})
    avoided = {*meta.get("other_than", []), *used_sinks(source)}
    fresh = replace(seal, totals=Totals(since=epoch).dump())  # other sinks: they have nothing of what was before
    return _plant(target, meta["settings"], fresh, positions, other_than=sorted(avoided))


def reshard(source: Store, target: Store, num_shards: int) -> str:
    """Write a new checkpoint with another number of shards, from the last commit; returns its id.

    It takes over the sinks: the old checkpoint must not be run again. Refused while an epoch is sealed but not
    committed.
    """
    meta, epoch = read_meta(source), last_commit(source)
    if load_seal(source, epoch + 1) is not None:
        raise UserError(f"{source.root}: epoch {epoch + 1} is sealed but not committed; run the job to finish it")
    seal = _committed(source, epoch)
    _require_empty(target)
    state = {
        operator: _reshard_operator(operator, shards, num_shards, source, target, epoch)
        for operator, shards in seal.state.items()
    }
    settings = {**meta["settings"], "num_shards": num_shards}
    avoided = meta.get("other_than", [])
    target.put(SINKS, json.dumps(used_sinks(source)).encode())
    _copy_letters(source, target, set(source.list(REPLAYED)))
    for name in source.list(ALERTS):  # alerts that wait for their receivers are the new one's to tell
        target.create(name, source.get(name))
    succeeds = [meta["id"], *meta.get("succeeds", [])]
    whole, positions = replace(seal, state=state), positions_after(source, epoch)
    return _plant(target, settings, whole, positions, other_than=avoided, succeeds=succeeds)


def _reshard_operator(
    operator: str, shards: Mapping[str, Any], num_shards: int, source: Store, target: Store, epoch: int
) -> dict[str, Any]:
    heads = [Head.load(head) for head in shards.values()]
    dues = [head.due for head in heads if head.due is not None]
    due, stepped = min(dues, default=None), min(head.stepped for head in heads)
    fresh = [Head({}, due, stepped) for _ in range(num_shards)]
    for table in sorted({name for head in heads for name in head.tables}):
        rows, shard_by = _rows_of(table, heads, source)
        owner = rows[SHARD].fill_null(0) if SHARD in rows.columns else rows[LO]
        shard = shard_of_fingerprint(owner, num_shards)
        for number, head in enumerate(fresh):
            mine = rows.filter(shard == number)
            content = Chunk(mine.drop(SHARD)) if shard_by else Run(mine.sort(HI, LO, maintain_order=True))
            data = content.dump()
            name = f"state/{operator}/{number:05d}/{epoch:08d}-reshard-{table}-{uuid.uuid4().hex[:8]}.arrow"
            target.create(name, data)
            head.tables[table] = [RunRef(name, content.frame.height, len(data), digest(data), shard_by)]
    return {str(number): head.dump() for number, head in enumerate(fresh)}


def _rows_of(table: str, heads: Sequence[Head], source: Store) -> tuple[pl.DataFrame, str | None]:
    """All live rows of an operator's table or ordered list, and the column by which a list is sharded."""
    parts, column = list[pl.DataFrame](), None
    for head in heads:
        refs = head.tables.get(table, [])
        files = [read_verified(source, ref.file, ref.sha256) for ref in refs]
        if not refs:
            continue
        if refs[0].shard_by is None:
            parts.append(latest([Run.load(data) for data in files]))
            continue
        column = refs[0].shard_by
        chunks = pl.concat([Chunk.load(data).after(head.stepped).frame for data in files])
        parts.append(chunks.with_columns(fingerprint(chunks[column])["lo"].alias(SHARD)))
    rows = pl.concat(parts, how="diagonal")  # some shards may not have been stepped since the list was a keyed table
    return (rows.drop(HI, LO, LIVE, strict=False), column) if column else (rows, None)


def _copy_letters(source: Store, target: Store, names: Collection[str]) -> None:
    """Copy queued dead letters that positions refer to, or that still wait."""
    for name in source.list(REPLAYED):
        if name in names:
            target.create(name, source.get(name))


def _committed(store: Store, epoch: int) -> Seal:
    seal = load_seal(store, epoch)
    if seal is None or commit_name(epoch) not in store.list("commits"):
        raise UserError(f"{store.root}: epoch {epoch} is not committed, or is no longer kept")
    return seal


def _require_empty(target: Store) -> None:
    """The new checkpoint gets its identity last, so an unfinished one does not count as a checkpoint."""
    if target.list(""):
        raise UserError(f"--to: {target.root} is not empty; choose another")


def _plant(
    target: Store,
    settings: Mapping[str, Any],
    seal: Seal,
    positions: list[dict[str, Any]],
    *,
    other_than: Sequence[str],
    succeeds: Sequence[str] = (),
) -> str:
    identity = uuid.uuid4().hex
    kin = {"other_than": list(other_than), "succeeds": list(succeeds)}
    meta = {"id": identity, "format": FORMAT, "settings": dict(settings), **kin}
    planted = replace(seal, positions=positions, snapshot=True, files={})
    target.create(seal_name(seal.epoch), planted.dump())
    target.create(commit_name(seal.epoch), sign({"batchId": seal.epoch}))
    if not target.create("meta.json", json.dumps(meta, sort_keys=True).encode()):
        raise UserError(f"--to: {target.root}: there is a checkpoint already")
    return identity
