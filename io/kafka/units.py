"""The writers of a sink: which client each has, how many there are, and how all of them work at once."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ecompulse.epochs.errors import JobError
from ecompulse.io.kafka.reader import CONFLUENT

if TYPE_CHECKING:
    from ecompulse.io.kafka.confluent_writer import ConfluentWriter
    from ecompulse.io.kafka.ledger import Entry, Ledger
    from ecompulse.io.kafka.writer import Writer


OFFSETS: Final = "offsets"
SCAN: Final = "scan"

DEADLINE: Final = 120.0
"""Seconds that all writers together may take for an epoch: a broker that hangs must not hang the job."""


def open_writer(kind: str, ledger: "Ledger", unit: int) -> "Writer | ConfluentWriter":
    """A writer by one of the clients."""
    if kind == CONFLUENT:
        from ecompulse.io.kafka.confluent_writer import ConfluentWriter  # noqa: PLC0415  # an extra

        return ConfluentWriter(ledger, unit)
    from ecompulse.io.kafka.writer import Writer  # noqa: PLC0415  # an extra

    return Writer(ledger, unit)


def units_of(done: Mapping[int, "Entry"], epoch: int, wanted: int) -> int:
    """How many writers share an epoch: as many as began to write it, when only some of them got through."""
    through = [entry.units for entry in done.values() if entry.epoch >= epoch]
    return through[0] if through else wanted


def on_all(units: Sequence[int], body: Callable[[int], None]) -> None:
    """Do it for all writers at once; the first error, or JobError when it takes too long."""
    errors: list[BaseException] = []

    def run(unit: int) -> None:
        try:
            body(unit)
        except BaseException as error:  # noqa: BLE001  # handed on to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(unit,), name=f"kafka-{unit}", daemon=True) for unit in units]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in threads):
        raise JobError(f"the brokers did not answer within {DEADLINE:.0f} s")
