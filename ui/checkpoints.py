"""What a checkpoint says of its job. Reads only."""

from collections.abc import Callable
from typing import Final

from ecompulse.epochs.checkpoint import newest_fencing_token, read_meta
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.failures import load_failure
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.seal import epoch_of, load_commit, load_seal
from ecompulse.ui.disks import disks_of
from ecompulse.ui.jobs import Job
from ecompulse.ui.operators import operators_of
from ecompulse.ui.states import state_of

EPOCHS: Final = 120
"""Committed epochs of a job that the page shows."""

_PLANTED: Final = {"batchId"}
"""All that a commit says which `checkpoint fork` and `reshard` begin with: no driver has run it."""


def read_job(key: int, store: Store, is_held: Callable[[], bool | None], now: int) -> Job:
    """A checkpoint as the page shows it; never raises for one that is damaged or gone.

    Args:
        key: number of the checkpoint on the page.
        store: of the checkpoint.
        is_held: whether a driver lives on it; None where nobody can say.
        now: UTC, ms.
    """
    try:
        meta = read_meta(store)
        numbers = sorted(epoch_of(name) for name in store.list("commits"))[-EPOCHS:]
        commits = [load_commit(store, number) for number in numbers]
        epochs = [each for each in commits if each.keys() > _PLANTED]
        last = numbers[-1] if numbers else 0
        seal = load_seal(store, last) if last else None
        pending = load_seal(store, last + 1) is not None
        failure = load_failure(store, last)
        starts = newest_fencing_token(store)
    except (JobError, UserError, OSError, ValueError) as error:
        return Job(key, store.root, store.root.rstrip("/").rpartition("/")[2], "unreadable", error=str(error))
    settings = meta["settings"]
    return Job(
        key=key,
        place=store.root,
        name=settings["job"],
        instance=settings.get("instance"),
        state=state_of(epochs, is_held(), now),
        epochs=epochs,
        watermarks={name: top for name, (top, _) in seal.partitions.items()} if seal else {},
        operators=operators_of(seal) if seal else (),
        sources=settings.get("sources", ()),
        starts=starts,
        pending=pending,
        failure=failure,
        disks=disks_of(store, epochs[-1] if epochs else {}),
    )
