"""Whether a job runs, as far as its checkpoint says."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ecompulse.ui.clock import moment

MARKS: Final = {"unreadable": 4, "running": 1, "stopped": 1, "never ran": 0}
"""States, and how much each needs a look."""

SILENT_MS: Final = 60_000
"""A checkpoint in a bucket has no lock: its job counts as running if it has committed within so long."""


def state_of(epochs: Sequence[Mapping[str, Any]], held: bool | None, now: int) -> str:
    """One of MARKS but `unreadable`, from the progress of the epochs and whether a driver holds the checkpoint."""
    if held:
        return "running"
    if not epochs:
        return "never ran"
    last = moment(epochs[-1]["timestamp"]) or 0
    return "running" if held is None and now - last < SILENT_MS else "stopped"
