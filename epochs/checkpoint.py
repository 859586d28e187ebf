"""The checkpoint: identity, fencing tokens, seals and commits, each written once.

meta.json                      id, format and the settings that may not change
fencing_tokens/<k>             taken by exclusive create; the newest wins
current/<k>.json               the current run of fencing token k; its workers read it
runs/<epoch>-<attempt>/        plan and manifest of a run
seals/<epoch>.json             the content of an epoch, fixed for ever
commits/<epoch>.json           the epoch has happened; its progress
failures/<k>.json              what fails since the last commit, for people
state/<operator>/<shard>/...   keyed state
outputs/                       output files of a job without a lake, until its sinks have them
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ecompulse.epochs.errors import JobError, Superseded, Unusable, UserError
from ecompulse.epochs.protocols import ENCRYPTED, Store
from ecompulse.epochs.records import read_record, sign
from ecompulse.epochs.seal import Seal, commit_name, epoch_of, load_commit, load_seal, seal_name, sealed

FORMAT: Final = 2
SINKS: Final = "sinks.json"
OUTPUTS: Final = "outputs"
"""Folder of a checkpoint where output files wait if there is no lake to keep them."""


class Checkpoint:
    """A checkpoint opened by one driver, which holds one fencing token of the job."""

    def __init__(self, store: Store, meta: Mapping[str, Any], fencing_token: int) -> None:
        """Use `open_checkpoint`."""
        self.store = store
        self.id: str = meta["id"]
        self.succeeds: tuple[str, ...] = tuple(meta.get("succeeds", ()))
        self.fencing_token = fencing_token

    def check_fencing_token(self) -> None:
        """Raise Superseded when a newer driver has started, Unusable when the checkpoint is gone."""
        newest = newest_fencing_token(self.store)
        if newest < self.fencing_token:
            raise Unusable(f"checkpoint {self.store.root}: was removed under the running job")
        if newest > self.fencing_token:
            raise Superseded(
                f"checkpoint {self.store.root}: a newer driver (fencing token {newest}) took over from this one "
                f"(fencing token {self.fencing_token}); this one stops"
            )

    def last_commit(self) -> int:
        """Number of the last committed epoch; 0 when there is none."""
        return last_commit(self.store)

    def last_seal(self) -> int:
        """Number of the last sealed epoch; 0 when there is none."""
        return last_seal(self.store)

    def progress_of(self, epoch: int) -> dict[str, Any]:
        """The progress that an epoch was committed with."""
        return load_commit(self.store, epoch)

    def seal_of(self, epoch: int) -> Seal | None:
        """The seal of an epoch; None when it is not sealed."""
        return load_seal(self.store, epoch)

    def write_seal(self, seal: Seal) -> Seal:
        """Seal an epoch, or return the seal that an older driver had already written."""
        self.check_fencing_token()
        if self.store.create(seal_name(seal.epoch), seal.dump()):
            return seal
        existing = load_seal(self.store, seal.epoch)
        if existing is None or existing.fencing_token > self.fencing_token:
            self.check_fencing_token()
            raise JobError(f"{self.store.root}/{seal_name(seal.epoch)} was written by another driver")
        return existing

    def write_commit(self, epoch: int, progress: Mapping[str, Any]) -> None:
        """Commit a sealed and published epoch."""
        self.check_fencing_token()
        self.store.create(commit_name(epoch), sign(progress))


def positions_after(store: Store, epoch: int) -> list[dict[str, Any]]:
    """What is remembered of each source after a committed epoch: the last snapshot and the changes since."""
    chain: list[Seal] = []
    while not chain or not chain[-1].snapshot:
        chain.append(sealed(store, epoch))
        epoch -= 1
    merged: list[dict[str, Any]] = [{} for _ in chain[0].positions]
    for seal in reversed(chain):
        for known, change in zip(merged, seal.positions, strict=False):  # before there was a replay, one fewer
            known.update(change)
    return merged


_LATER: Final = frozenset(
    {"base_currency", "funnel_stages", "funnel_window", "join_wait", "quality_window", "transactions"}
)
"""Settings that checkpoints of earlier versions do not have, and go on with whatever they are."""


def open_checkpoint(store: Store, settings: Mapping[str, Any]) -> Checkpoint:
    """Create a checkpoint, or check that an existing one was made with these settings; take a fencing token."""
    fresh: dict[str, Any] = {"id": uuid.uuid4().hex, "format": FORMAT, "settings": dict(settings)}
    if not store.list("commits") and store.create("meta.json", json.dumps(fresh, sort_keys=True).encode()):
        meta = fresh
    else:
        meta = _agreed(store, read_meta(store), settings)
    fencing_token = newest_fencing_token(store) + 1
    while not store.create(f"fencing_tokens/{fencing_token:08d}", meta["id"].encode()):
        fencing_token += 1
    return Checkpoint(store, meta, fencing_token)


def _agreed(store: Store, meta: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The meta of an existing checkpoint; until its first epoch is sealed the settings may change."""
    if meta["settings"] == dict(settings) or store.list("seals") or meta["format"] != FORMAT:
        _check_settings(store.root, meta, settings)
        return meta
    meta = {**meta, "settings": dict(settings)}
    store.put("meta.json", json.dumps(meta, sort_keys=True).encode())
    return meta


def read_meta(store: Store) -> dict[str, Any]:
    """The checkpoint's identity and settings; UserError when this is not a checkpoint."""
    meta = find_meta(store)
    if meta is None:
        raise UserError(f"--checkpoint: {store.root} holds no checkpoint")
    return meta


def find_meta(store: Store) -> dict[str, Any] | None:
    """The same; None when there is no checkpoint yet."""
    try:
        data = store.get("meta.json")
        if data.startswith(ENCRYPTED):
            raise UserError(f"--checkpoint: {store.root} is encrypted; --checkpoint_key says where its key stands")
        meta = json.loads(data)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"--checkpoint: {store.root}/meta.json is damaged: {error}") from None
    if not isinstance(meta, dict) or not meta.keys() >= {"id", "format", "settings"}:
        raise UserError(f"--checkpoint: {store.root}/meta.json is damaged: it does not say whose the checkpoint is")
    return meta


def _check_settings(root: str, meta: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    if meta["format"] != FORMAT:
        raise UserError(f"--checkpoint: {root} has format {meta['format']}, this version writes {FORMAT}")
    for key in sorted({*meta["settings"], *(settings.keys() - _LATER)}):
        was, wanted = meta["settings"].get(key), settings.get(key)
        if was != wanted:
            raise UserError(
                f"--checkpoint: {root} was made {_with(key, was)}, not {_or_without(wanted)}; "
                "use the old setting or another --checkpoint"
            )


def _with(key: str, value: Any) -> str:
    return f"without {key}" if value is None else f"with {key} {json.dumps(value)}"


def _or_without(value: Any) -> str:
    return "without it" if value is None else json.dumps(value)


def refuse_sinks(store: Store, sinks: Sequence[str]) -> None:
    """UserError for a sink to which the checkpoint that this one was forked from writes."""
    for sink in sinks:
        if sink in read_meta(store).get("other_than", []):
            raise UserError(f"{sink}: the checkpoint that {store.root} was forked from writes there; choose another")


def remember_sinks(store: Store, sinks: Sequence[str]) -> None:
    """Remember the sinks of a checkpoint, before the first epoch is published there."""
    known = used_sinks(store)
    if not set(sinks) <= set(known):
        store.put(SINKS, json.dumps(sorted({*known, *sinks})).encode())


def used_sinks(store: Store) -> list[str]:
    """The sinks that drivers of a checkpoint have written to."""
    try:
        sinks: list[str] = read_record(store, SINKS)
    except FileNotFoundError:
        return []
    return sinks


def newest_fencing_token(store: Store) -> int:
    """Number of the newest driver that started on the checkpoint; 0 when none has."""
    return max((int(name.rsplit("/", 1)[1]) for name in store.list("fencing_tokens")), default=0)


def last_commit(store: Store) -> int:
    """Number of the last committed epoch; 0 when there is none."""
    return max((epoch_of(name) for name in store.list("commits")), default=0)


def last_seal(store: Store) -> int:
    """Number of the last sealed epoch, even where its seal is missing; 0 when there is none."""
    return max(last_commit(store), *(epoch_of(name) for name in store.list("seals")), 0)
