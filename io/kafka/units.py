"""The writers of a sink: which client each has, and how many there are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ecompulse.io.kafka.reader import CONFLUENT

if TYPE_CHECKING:
    from ecompulse.io.kafka.confluent_writer import ConfluentWriter
    from ecompulse.io.kafka.ledger import Entry, Ledger
    from ecompulse.io.kafka.writer import Writer


OFFSETS: Final = "offsets"


SCAN: Final = "scan"


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
