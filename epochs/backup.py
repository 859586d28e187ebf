"""The backup of a checkpoint: a second store that has an epoch before anything of the epoch is published.

It has the layout of a checkpoint, without the files that only a running epoch needs. Restored, it is a checkpoint.
Files come first and the seal last. A driver that was cut off from its checkpoint, and still runs after another one was
restored, finds the other's fencing token here, and stops before it publishes.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ecompulse.epochs.checkpoint import (
    OUTPUTS,
    SINKS,
    Checkpoint,
    last_commit,
    last_seal,
    newest_fencing_token,
    read_meta,
)
from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, UserError
from ecompulse.epochs.garbage_collection import collect
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.replay import FOLDER as REPLAYED
from ecompulse.epochs.runs import digest
from ecompulse.epochs.seal import Seal, commit_name, epoch_of, load_seal, seal_name, state_files
from ecompulse.epochs.state import read_verified

META: Final = "meta.json"
ALERTS: Final = "alerts"
"""Folder of a checkpoint that alerts wait in; the outbox itself keeps it here too."""

_COPIES: Final = 8  # at a time
_KEPT: Final = ("state", "seals", "commits", OUTPUTS, REPLAYED)


class Backup:
    """The backup of one driver's checkpoint."""

    def __init__(self, checkpoint: Checkpoint, target: Store, *, outputs: bool) -> None:
        """`outputs`: whether output files wait in the checkpoint, because there is no lake, and must be saved too."""
        self._checkpoint = checkpoint
        self._source = checkpoint.store
        self._outputs = outputs
        self._there: set[str] = set()
        self.target = target

    def open(self) -> None:
        """Register this driver, and copy what the checkpoint already has; safe to repeat.

        UserError when the backup belongs to another checkpoint, or the checkpoint is an older copy of what is there;
        Superseded when a newer driver writes to it.
        """
        if not self.target.create(META, self._source.get(META)) and identity_of(self.target) != self._checkpoint.id:
            raise UserError(f"--checkpoint_backup: {self.target.root} holds the backup of another checkpoint")
        if self.target.get(META) != self._source.get(META):
            self.target.put(META, self._source.get(META))  # settings are free until the first epoch
        self._check_fencing_token()
        self.target.create(f"fencing_tokens/{self._checkpoint.fencing_token:08d}", self._checkpoint.id.encode())
        if SINKS in self._source.list(""):
            self.target.put(SINKS, self._source.get(SINKS))
        self._there = {name for folder in _KEPT for name in self.target.list(folder)}
        self._check_copy()
        held = set(self._source.list("state"))
        for name in self._source.list("seals"):
            seal = self._checkpoint.seal_of(epoch_of(name))
            if seal is not None and name not in self._there:  # of epochs that are not kept only positions are left
                self._save(seal, {file: sha for file, sha in state_files(seal).items() if file in held})
        for name in self._source.list("commits"):
            self.commit(epoch_of(name))

    def take(self, seal: Seal) -> None:
        """Save a sealed epoch: first its new files, then its seal; safe to repeat.

        Superseded when a newer driver writes to the backup, JobError when the backup has other content for the epoch.
        """
        self._check_fencing_token()
        self._save(seal, state_files(seal))

    def commit(self, epoch: int) -> None:
        """Save that an epoch was committed."""
        name = commit_name(epoch)
        if name not in self._there:
            self.target.create(name, self._source.get(name))
            self._there.add(name)

    def collect(self, keep_epochs: int) -> None:
        """Remove what no kept epoch of the backup refers to."""
        collect(self.target, self._checkpoint.fencing_token, keep_epochs)

    def _save(self, seal: Seal, state: Mapping[str, str]) -> None:
        name = seal_name(seal.epoch)
        if name in self._there:
            return
        files = {**state, **self._letters(seal)}
        if self._outputs:
            files |= _output_files(seal)
        copy(self._source, self.target, {file: sha for file, sha in files.items() if file not in self._there})
        self._there.update(files)
        data = self._source.get(name)
        if not self.target.create(name, data) and self.target.get(name) != data:
            raise JobError(f"--checkpoint_backup: {self.target.root}/{name} is another epoch {seal.epoch}")
        self._there.add(name)

    def _letters(self, seal: Seal) -> dict[str, str]:
        """Queued dead letters that the epoch has read: the ledger of its replays."""
        names = {str(split["uri"]) for split in seal.ranges if str(split["uri"]).startswith(f"{REPLAYED}/")}
        return {name: digest(self._source.get(name)) for name in names - self._there}

    def _check_copy(self) -> None:
        """A seal is in the checkpoint before it is here; otherwise somebody went on from a newer state than ours."""
        mine, there = self._checkpoint.last_seal(), last_seal(self.target)
        name, seals = seal_name(mine), self._source.list("seals")
        if there > mine or (name in self._there and name in seals and self.target.get(name) != self._source.get(name)):
            raise UserError(
                f"--checkpoint_backup: {self.target.root} has epoch {there} of another course of this checkpoint, "
                f"whose last is {mine}: it is an older copy; bring the newest back with `python -m "
                f"pipelines.checkpoint restore {self.target.root} --to PLACE`, or give another --checkpoint_backup"
            )

    def _check_fencing_token(self) -> None:
        newest = newest_fencing_token(self.target)
        if newest > self._checkpoint.fencing_token:
            raise Superseded(
                f"--checkpoint_backup: {self.target.root}: a newer driver (fencing token {newest}) writes to it; "
                f"this one (fencing token {self._checkpoint.fencing_token}) stops"
            )


def identity_of(store: Store) -> str | None:
    """Id of the checkpoint that a store holds, or holds the backup of; None when it holds none."""
    try:
        store.get(META)
    except FileNotFoundError:
        return None
    return str(read_meta(store)["id"])


def require_restored(store: Store, backup: Store) -> None:
    """UserError when the checkpoint is gone and its backup is not: a new checkpoint would start from scratch."""
    if identity_of(store) is None and identity_of(backup) is not None:
        raise UserError(
            f"--checkpoint: {store.root} holds no checkpoint, but {backup.root} holds the backup of one; bring it back "
            f"with `python -m pipelines.checkpoint restore {backup.root} --to {store.root}`, or give another "
            "--checkpoint_backup"
        )


def restore(backup: Store, target: Store) -> int:
    """Make a checkpoint from a backup: same id, and its next driver is newer; returns its last committed epoch.

    UserError when the place is not empty. The identity is written last: an interrupted restore leaves no checkpoint,
    and can be repeated at another place.
    """
    meta = read_meta(backup)
    if target.list(""):
        raise UserError(f"--to: {target.root} is not empty; choose another")
    last = last_commit(backup)
    held = set(backup.list(""))
    folders = {"seals", "commits", "fencing_tokens", REPLAYED, ALERTS}
    names = [name for name in held if name == SINKS or name.partition("/")[0] in folders]
    if last and seal_name(last) not in held:
        raise StateDamaged(f"{backup.root}/{seal_name(last)} is missing")
    copy(backup, target, _files_of(backup, held, last))
    copy(backup, target, {name: digest(backup.get(name)) for name in names})
    if not target.create(META, backup.get(META)) and identity_of(target) != meta["id"]:
        raise UserError(f"--to: {target.root}: there is a checkpoint already")
    return last


def _files_of(backup: Store, held: set[str], last: int) -> dict[str, str]:
    """Files that a restored checkpoint needs: all of the last epoch and of one after it, of older ones what is kept."""
    files: dict[str, str] = {}
    for name in held:
        seal = load_seal(backup, epoch_of(name)) if name.startswith("seals/") else None
        if seal is not None:
            needed = state_files(seal)
            files |= needed if seal.epoch >= last else {file: needed[file] for file in held & needed.keys()}
            waiting = _output_files(seal)  # in the backup where there is no lake
            files |= {file: waiting[file] for file in held & waiting.keys()}
    return files


def copy(source: Store, target: Store, files: Mapping[str, str]) -> None:
    """Copy files (name to SHA-256), some at a time; StateDamaged when one is not what it should be."""

    def one(name: str) -> None:
        target.create(name, read_verified(source, name, files[name]))

    with ThreadPoolExecutor(_COPIES) as pool:
        _drain(pool.map(one, files))


def _drain(results: Iterable[None]) -> None:
    for _ in results:
        pass  # an error is raised as its result is taken


def _output_files(seal: Seal) -> dict[str, str]:
    return {f"{OUTPUTS}/{file['path']}": file["sha256"] for files in seal.files.values() for file in files}
