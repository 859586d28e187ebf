"""Whose the rows of a job and instance in a Delta table are: an application transaction says so, in its version."""

from typing import Final

from deltalake import DeltaTable, Transaction

from ecompulse.epochs.sinks import Owner

_APPLICATION: Final = "owner"
_DIGITS: Final = 12


def claim(owner: Owner) -> Transaction:
    """The transaction by which a commit says that the rows are the owner's."""
    return Transaction(_application(owner), int(owner.checkpoint[:_DIGITS], 16))  # a version must be a number


def other_owner(table: DeltaTable, owner: Owner) -> str | None:
    """How the id of another checkpoint begins that the rows are from; None when they are the owner's, or nobody's."""
    version = table.transaction_version(_application(owner))
    if version is None or version in {int(identity[:_DIGITS], 16) for identity in owner.lineage}:
        return None
    return f"{version:0{_DIGITS}x}"


def _application(owner: Owner) -> str:
    return f"{_APPLICATION}/{owner.name}"
