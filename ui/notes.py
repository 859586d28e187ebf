"""What of a job needs a look now, each in a line: the live page and `status` show the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecompulse.epochs.failures import Failure
from ecompulse.ui.disks import Disks, full_disks
from ecompulse.ui.shares import shares_of
from ecompulse.ui.words import moment


def notes_of(failure: Failure | None, epochs: Sequence[Mapping[str, Any]], disks: Disks) -> Sequence[str]:
    """Lines, the gravest first.

    Args:
        failure: what fails since the last commit.
        epochs: progress of the last ones, oldest first.
        disks: that it writes to.
    """
    progress: Mapping[str, Any] = epochs[-1] if epochs else {}
    lines = [] if failure is None else [_failing(failure)]
    lines += [f"the disk of the {name} is almost full" for name in full_disks(disks)]
    states = {name: use["breaker"] for name, use in progress.get("lookups", {}).items()}
    lines += [f"the breaker of the look-up {name} is {state}" for name, state in states.items() if state != "closed"]
    return [*lines, *shares_of(epochs)]


def _failing(failure: Failure) -> str:
    tried = "an attempt has" if failure.attempts == 1 else f"{failure.attempts} attempts in a row have"
    ended = ", and the driver has ended" if failure.ended else ""
    return f"since {moment(failure.since)} {tried} failed ({failure.kind}){ended}: {failure.error}"
