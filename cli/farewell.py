"""What a job says at the end of its run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ecompulse.cli.guard import DONE, INTERRUPTED
from ecompulse.cli.sources import passed_over_line
from ecompulse.epochs.protocols import REPLAY, Source
from ecompulse.io.terminal import say

if TYPE_CHECKING:
    from ecompulse.epochs.driver import Driver

_NAMED: Final = 3  # files of a kind, in lines for people
_MUCH_LATE: Final = 0.01  # share of late rows from which something is wrong with their order


def farewell(name: str, driver: "Driver", committed: int) -> int:
    """Say what a user should know of the run and is not in the tables; returns the exit status."""
    checkpoint = driver.checkpoint
    where = f"checkpoint {checkpoint.store.root} is at epoch {checkpoint.last_commit()}"
    if driver.stop.is_set():
        say(f"{name}: interrupted; {where}")
        return INTERRUPTED
    _say_bad_rows(name, driver)
    told = say_passed_over(name, driver.sources)
    _say_unread(name, driver)
    if not committed and not checkpoint.last_commit():
        places = [source.uri for source in driver.sources if source.role != REPLAY and source.uri not in told]
        if places:
            say(f"{name}: no rows yet in {', '.join(places)}")
    elif not committed and not driver.planner.waiting:
        say(
            f"{name}: {where}, no new rows; a run from the beginning needs another --checkpoint, and --replace to take "
            "the place of these rows",
        )
    return DONE


def say_passed_over(name: str, sources: Sequence[Source]) -> frozenset[str]:
    """Name the files that are not read for their suffix; URIs of sources that have no others."""
    found = [(source, line) for source in sources if (line := passed_over_line(source))]
    for _, line in found:
        say(f"{name}: {line}")
    return frozenset(source.uri for source, _ in found if not source.reads())


def _say_bad_rows(name: str, driver: "Driver") -> None:
    read, late, dead = (driver.totals[name] for name in ("input", "late_events", "dead_letters"))
    if dead:
        say(f"{name}: {dead:,} of {read:,} rows are dead letters; `deadletters list` says why")
    if late > read * _MUCH_LATE:
        say(
            f"{name}: {late:,} of {read:,} rows were late; read files in the order of their events (--file_order), "
            "or raise --watermark_delay",
        )


def _say_unread(name: str, driver: "Driver") -> None:
    for path, why in list(driver.planner.unreadable.items())[:_NAMED]:
        say(f"{name}: {path}: {why}; it is tried again when it changes")
    waiting = driver.planner.waiting
    for path, size in list(waiting.items())[:_NAMED]:
        say(f"{name}: {path}: its last {size:,} bytes wait for their line end; --drain reads them")
    if len(waiting) > _NAMED:
        say(f"{name}: so do the last bytes of {len(waiting) - _NAMED:,} other files")
