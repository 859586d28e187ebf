"""Sessions of visitors, and whatever else is derived from their journeys in the same step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.rows import CAME_LATE, check_duration
from ecompulse.kernels.sessions.journey import Journey, Part
from ecompulse.kernels.sessions.numbering import UNLIMITED, number, place
from ecompulse.kernels.sessions.reorder_buffer import reorder
from ecompulse.kernels.sessions.report import (
    DRAIN,
    GAP,
    MAX_LENGTH,
    session_id,
    show_events,
    show_late,
    show_sessions,
    show_transitions,
)
from ecompulse.kernels.sessions.schemas import (
    BASE_SCHEMA,
    OPEN,
    OPEN_SCHEMA,
    OPEN_TABLE,
    PENDING,
    SESSION_EVENT_SCHEMA,
    SESSION_SCHEMA,
    TRANSITION_PART_SCHEMA,
    late_schema,
    pending_rows,
)
from ecompulse.kernels.sessions.summary import summarise
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, OrderedList, StateView, Step, Table, Wait
from ecompulse.kernels.window_totals import TotalRows

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Sessionize:
    """Groups each visitor's events into sessions, by a gap of silence and a maximum length.

    Two events less than `gap` apart share a session; a distance equal to `gap` starts a new one, as in Beam.
    A run of events without a gap is cut at its first event + k x `longest` (see `number`). Events of
    every type count, also a back office's refund. Unlike GA4, a session does not end at midnight, and
    a session may begin with any event; unlike Matomo and old Analytics, a new campaign does not start one.

    When: rows are assigned after the watermark has passed them, in the order of `event.ORDER`, so that nothing is ever
    revised. Rows whose `came_late` is known have waited upstream (`ResolveIdentity.settles`); others wait here.
    `session_events` and `transition_parts` are emitted as soon as the watermark has passed their row, a session once
    end + `gap` <= watermark. Final rows do not depend on cut, arrival or sharding for input within the watermark delay.
    With `updates`, a session that has grown and is still open is emitted too, with `final` false and a growing
    `revision`. It contains the rows that the watermark has passed, and keeps its id. `close_reason` is `drain` if only
    the end of the input closed it: to be independent of the cut, a driver steps once at the last watermark before it
    drains.

    Lateness: see `place`. Late rows are in `late_events`, `late_by_ms` after their own window closed.
    A row that arrived behind the watermark and is still accepted counts in full, after the rows settled before it.

    Keying: `visitor`. State: `pending`, rows not yet behind the watermark, unless they wait upstream;
    `open`, one row per visitor with an open session: counters, and hashes of its distinct products and orders
    (8 bytes each, at most 65,536, where `products` and `orders` stand still: the guard against bots).
    Nothing older than watermark - `gap` - `longest` is held.

    Attributes:
        gap: ms, session gap.
        longest: ms, maximum length; 0 for none.
        updates: emit early revisions of open sessions.
        transition_window: ms, tumbling.
        parts: further computations on the journeys (funnels, carts), with outputs and tables of their own.
        name: of the operator.
    """

    gap: int = 30 * 60_000
    longest: int = 24 * HOUR_MS
    updates: bool = False
    transition_window: int = HOUR_MS
    parts: tuple[Part, ...] = ()
    name: str = "sessions"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_duration(self.name, "longest", self.longest)
        for name, value in (("gap", self.gap), ("transition_window", self.transition_window)):
            if value < 1:
                raise ValueError(f"{self.name}: {name} must be 1 ms or more, not {value}")

    @property
    def carried(self) -> pl.Schema:
        """Columns of a row that are kept."""
        more = {name: dtype for part in self.parts for name, dtype in part.columns.items()}
        return pl.Schema({**BASE_SCHEMA, **more})

    @property
    def inputs(self) -> pl.Schema:
        """Columns that are shuffled; `prepare` adds the ones a frame lacks."""
        return pl.Schema({**self.carried, CAME_LATE: pl.Boolean()})

    @property
    def tables(self) -> Sequence[Table | OrderedList]:
        """`pending`, `open`, and the parts' own."""
        return (
            pending_rows(self.carried),
            OPEN_TABLE,
            *(table for part in self.parts for table in part.tables),
        )

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Sessions, their events, partial counts of transitions, late rows, and the parts' own."""
        own = {
            "sessions": SESSION_SCHEMA,
            "session_events": SESSION_EVENT_SCHEMA,
            "transition_parts": TRANSITION_PART_SCHEMA,
            "late_events": late_schema(self.carried),
        }
        return own | {name: schema for part in self.parts for name, schema in part.outputs.items()}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The visitor."""
        return batch["visitor"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Settle what the watermark has passed, extend sessions, close the silent ones."""
        settled, waiting, held = reorder(state, batch, clock, self.carried)
        silent = state.due(OPEN, clock.watermark)["visitor"]
        touched = pl.concat([settled["visitor"], silent]).unique()
        known = state.lookup(OPEN, touched)
        rows, late = place(settled, known, self.gap, clock.watermark)
        rows = number(rows, known, self.gap, self.longest or UNLIMITED)
        told = self._judged(summarise(rows, known, self.gap), known, clock)
        mine = told.filter(pl.col("_session") >= 0).sort("_session")
        still_open = told.filter(~pl.col("final"))
        shown = told.filter("final")
        if self.updates:
            grown = still_open.filter(pl.col("_session") >= 0)
            shown = pl.concat([shown, grown]).sort("visitor", "opened")
            more = (pl.col("_session") >= 0).cast(pl.Int64)
            still_open = still_open.with_columns(revision=pl.col("revision") + more)
        outputs = {
            "sessions": show_sessions(shown),
            "session_events": show_events(rows, mine),
            "transition_parts": show_transitions(rows, known, self.transition_window),
            "late_events": show_late(late, self.name, self.gap, clock.watermark, self.carried),
        }
        kept = still_open.select(OPEN_SCHEMA.names())
        changes: dict[str, Change | Wait] = {PENDING: waiting, OPEN: Change(touched, kept)}
        journey = Journey(
            rows=rows,
            sessions=mine.select("visitor", "id"),
            known=known,
            still_open=still_open.select("visitor", "id"),
            touched=touched,
            gap=self.gap,
        )
        balance = {"session_events": rows.height, "late_events": late.height, "held": held}
        return self._with_parts(Step(outputs, changes, balance), state, journey, clock)

    def _judged(self, told: pl.DataFrame, known: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """All sessions of the step, also those without rows: `id`, `close_reason`, `final`."""
        quiet = known.join(told.filter("_continues"), on="visitor", how="anti")
        sessions = pl.concat([told, quiet], how="diagonal").sort("visitor", "opened")
        follows = (pl.col("visitor") == pl.col("visitor").shift(-1)).fill_null(value=False)
        cut = pl.col("_cut").shift(-1).fill_null(value=False)
        ended = pl.lit(DRAIN if clock.watermark >= END_OF_TIME else GAP)
        reason = (
            pl.when(follows & cut)
            .then(pl.lit(MAX_LENGTH))
            .when(follows)
            .then(pl.lit(GAP))
            .when(pl.col("closes") <= clock.watermark)
            .then(ended)
        )
        return sessions.with_columns(
            pl.col("_session").fill_null(-1), id=session_id(), close_reason=reason
        ).with_columns(final=pl.col("close_reason").is_not_null())

    def _with_parts(self, own: Step, state: StateView, journey: Journey, clock: Clock) -> Step:
        steps = [own, *(part.follow(state, journey, clock) for part in self.parts)]
        outputs = {name: frame for step in steps for name, frame in step.outputs.items()}
        changes = {name: change for step in steps for name, change in step.changes.items()}
        return Step(outputs, changes, own.balance)


def prepare(frame: pl.DataFrame, kernel: Sessionize) -> pl.DataFrame:
    """A frame with the columns that the kernel shuffles; enrichment that was not done is null."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in kernel.inputs.items() if name not in frame.columns]
    return frame.with_columns(missing).select(kernel.inputs.names())


def total_transitions(window: int = HOUR_MS, lag: int = 30 * 60_000) -> TotalRows:
    """`page_transitions` of the `transition_parts` of `Sessionize`.

    `lag` is the session gap: a row that arrived behind the watermark and was still accepted is less than a gap behind
    it.
    """
    return TotalRows("page_transitions", ("from_page", "to_page"), ("count",), window, lag)
