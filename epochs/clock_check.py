"""Checks of the machine's clock: a wrong clock makes good events late, or accepts events of the future."""

from collections.abc import Sequence
from typing import Final

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.manifest import Manifest
from ecompulse.epochs.plan import Draft, Position
from ecompulse.epochs.progress import iso
from ecompulse.epochs.protocols import EVENTS, Source

MINUTE_MS: Final = 60_000
SET_BACK: Final = 5 * MINUTE_MS
"""How far the clock may be behind the last epoch's (ms)."""

AHEAD: Final = 60 * MINUTE_MS
"""How much later than the write time of their file event times may be (ms)."""

WRITTEN_WITHIN: Final = 7 * 24 * 60 * MINUTE_MS
"""Files older than this are not checked (ms): archives and images have times of their own."""


def check_behind(now: int, at: Position) -> None:
    """UserError when the clock is behind that of the last epoch."""
    if at.now - now > SET_BACK:
        raise UserError(
            f"--accept_clock: the clock says {iso(now)}, the last epoch was at {iso(at.now)}: one of them is wrong. "
            f"If it was that one, rows before its watermark ({iso(at.watermark)}) are late: `checkpoint fork --epoch` "
            "goes on from an earlier epoch; with --accept_clock the job goes on as it is"
        )


def check_written(draft: Draft, sources: Sequence[Source]) -> None:
    """UserError when the data of a source was written after now."""
    for source, backlog in zip(sources, draft.backlogs, strict=True):
        if backlog.written is not None and backlog.written - draft.now > SET_BACK:
            raise UserError(
                f"--accept_clock: the clock says {iso(draft.now)}, and {source.uri} was written at "
                f"{iso(backlog.written)}; set the clock, or accept it as it is"
            )


def check_ahead(draft: Draft, manifest: Manifest, sources: Sequence[Source]) -> None:
    """UserError when events are later than the write time of their file, which only a clock that is ahead accepts."""
    for index, (source, backlog) in enumerate(zip(sources, draft.backlogs, strict=True)):
        tops = [top for name, top in manifest.tops.items() if name.startswith(f"{index}/") and top is not None]
        written = backlog.written
        if source.role != EVENTS or written is None or draft.now - written > WRITTEN_WITHIN or not tops:
            continue
        if max(tops) - written > AHEAD:
            raise UserError(
                f"--accept_clock: {source.uri}: an event is of {iso(max(tops))}, and was written by {iso(written)}: "
                f"the clock, now {iso(draft.now)}, may be ahead. With --accept_clock the job goes on as it is"
            )
