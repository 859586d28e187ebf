"""Removing what no kept epoch refers to, from a checkpoint or its backup."""

from typing import Final

from ecompulse.epochs.checkpoint import OUTPUTS, last_commit
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.seal import epoch_of, load_seal, state_files
from ecompulse.epochs.steps import Step, reach

HISTORY: Final = 120
"""Least number of commits that are kept: the progress of an epoch is small, and the live page draws it."""


def collect(store: Store, fencing_token: int, keep_epochs: int) -> int:
    """Remove what no kept epoch refers to; returns the number of files removed.

    Only files whose epoch is before the oldest kept commit are removed, so no file of the current run, or of another
    driver's run, can be among them. Of the files of drivers, only those of drivers before `fencing_token` are removed.
    """
    last = last_commit(store)
    oldest = last - keep_epochs
    if oldest < 1:
        return 0
    reach(Step.COLLECTING)
    base = oldest
    while (seal := load_seal(store, base)) is not None and not seal.snapshot:
        base -= 1  # seals since a snapshot are needed to know the positions
    kept_state = _state_of(store, range(oldest, last + 2))
    doomed = [name for name in store.list("commits") if epoch_of(name) < min(oldest, last - HISTORY)]
    doomed += [name for name in store.list("seals") if epoch_of(name) < base]
    doomed += [name for name in store.list("runs") if int(name.split("/")[1].split("-")[0]) < oldest]
    files = [*store.list("state"), *store.list(OUTPUTS)]
    doomed += [name for name in files if name not in kept_state and _epoch_of_file(name) < oldest]
    drivers = [*store.list("fencing_tokens"), *store.list("current")]
    doomed += [name for name in drivers if epoch_of(name) < fencing_token]
    store.delete(doomed)
    reach(Step.COLLECTED)
    return len(doomed)


def _state_of(store: Store, epochs: range) -> set[str]:
    files: set[str] = set()
    for epoch in epochs:
        seal = load_seal(store, epoch)
        if seal is not None:
            files.update(state_files(seal))
    return files


def _epoch_of_file(name: str) -> int:
    return int(name.rsplit("/", 1)[1].split("-", maxsplit=1)[0])
