"""Walks through a funnel, per session and per visitor, until they are over and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.funnels.counts import PART_SCHEMA, partial_counts
from ecompulse.kernels.funnels.definition import Funnel, default_funnel
from ecompulse.kernels.funnels.walk import advance, reached
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.sessions.journey import Journey
from ecompulse.kernels.sessions.schemas import DIMENSIONS
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

WALKS: Final = "walks"

_KEYS: Final = {"session": ["session"], "visitor": ["visitor", "window"]}
_NUMBER: Final = {"session": "_session", "visitor": "_who"}


@dataclass(frozen=True)
class TrackFunnels:
    """Follows visitors through the stages of a funnel.

    A walk begins with an event of the first stage: the first one of each session (scope `session`), and
    the first one of each visitor in each window of event time (scope `visitor`, across sessions). From
    there, in the order of events and within `max_time` of the entry:

    - `open`: the next stage is reached by the first event of any stage that may follow (up to the next
      required one); all other events are ignored. What GA4 calls a closed funnel with "indirectly followed
      by"; one cannot enter at a later stage.
    - `strict`: of the events that belong to any stage, repeats of the present stage are ignored, one that may
      follow is taken, and any other ends the walk. Events of no stage do not matter. (As `strict_order` of
      ClickHouse's windowFunnel.)

    A skipped stage is not entered, even if its event comes later. A walk counts in the window of its entry and
    in the segments that its session shows by then (first known channel, device, country of the session up
    to the entry; `(not set)` if none).

    When: a walk is counted once the watermark has passed its entry + `max_time`, or its session has closed, so
    the counts do not depend on the cut. Rows behind the watermark are walked after those settled before.

    State: `walks`, by visitor: one row per walk (times of the stages, segments) until it is counted; a mark
    that a session or window has been entered stays until it has closed, windows `gap` longer.

    Output: `funnel_parts`, to be added up by `TotalFunnels`.

    Attributes:
        funnel: what to follow.
    """

    funnel: Funnel = field(default_factory=default_funnel)

    @property
    def columns(self) -> pl.Schema:
        """None of its own."""
        return pl.Schema()

    @property
    def tables(self) -> Sequence[Table]:
        """`walks`."""
        times = {reached(number): pl.Int64() for number in range(len(self.funnel.stages))}
        schema = pl.Schema(
            {
                "visitor": pl.String(),
                "mode": pl.String(),
                "scope": pl.String(),
                "session": pl.String(),
                "window": pl.Int64(),
                **{name: pl.String() for name in DIMENSIONS},
                "stage": pl.Int64(),
                "ended": pl.Boolean(),
                **times,
                "counted": pl.Boolean(),
                "due": pl.Int64(),
            }
        )
        return (Table(name=WALKS, schema=schema, key="visitor", due="due"),)

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Partial counts."""
        return {"funnel_parts": PART_SCHEMA}

    def follow(self, state: StateView, journey: Journey, clock: Clock) -> Step:
        """Begin and advance walks, count those that are over."""
        due = state.due(WALKS, clock.watermark)["visitor"]
        held = state.lookup(WALKS, pl.concat([journey.touched, due]).unique())
        events = self._events(journey)
        if events.is_empty() and held.is_empty():
            return Step({"funnel_parts": no_rows(PART_SCHEMA)})
        walks = pl.concat([self._resumed(held, events), self._begun(journey, events, held)])
        walks = advance(walks, events, self.funnel).drop("_position", "_limit")
        walks = pl.concat([walks, held.filter("counted")])
        walks = self._over(walks, journey, clock)
        parts = partial_counts(walks.filter("_over", ~pl.col("counted")), self.funnel)
        kept = walks.with_columns(counted=pl.col("counted") | pl.col("_over")).filter("_kept")
        kept = kept.select(held.columns)
        keys = pl.concat([held["visitor"], kept["visitor"]]).unique()
        return Step({"funnel_parts": parts}, {WALKS: Change(keys, kept)})

    def _events(self, journey: Journey) -> pl.DataFrame:
        """Events of stages, with their session's id, `_row` in the journey and `_position` here."""
        numbers = {event: number for number, stage in enumerate(self.funnel.stages) for event in stage.events}
        stage = pl.col("event_type").replace_strict(numbers, default=None, return_dtype=pl.Int64)
        events = journey.rows.select("visitor", "_at", "_session", stage=stage).with_row_index("_row")
        events = events.filter(pl.col("stage").is_not_null()).with_row_index("_position")
        ids = journey.sessions["id"].gather(events["_session"])
        who = pl.col("visitor").ne_missing(pl.col("visitor").shift(1)).cum_sum().cast(pl.Int64)
        return events.with_columns(pl.col("_row", "_position").cast(pl.Int64), session=ids, _who=who)

    def _resumed(self, held: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
        """Walks of earlier steps, before the first event that may concern them."""
        walks = held.filter(~pl.col("counted"))
        found = [
            walks.filter(pl.col("scope") == key).join(_spans(events, key).drop(_NUMBER[key]), on=key, how="left")
            for key in ("session", "visitor")
        ]
        begin = pl.col("_first").fill_null(0) - 1
        return pl.concat(found).select(*held.columns, _position=begin, _limit=pl.col("_limit").fill_null(0))

    def _begun(self, journey: Journey, events: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
        """New walks, each at its entry."""
        window = pl.col("_at") // self.funnel.window * self.funnel.window
        entries = events.filter(pl.col("stage") == 0).with_columns(window=window)
        found = []
        for scope, keys in _KEYS.items():
            if scope not in self.funnel.scopes:
                continue
            number = _NUMBER[scope]
            # Events are in order: whoever enters anew differs from the row before.
            fresh = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in (number, *keys[1:]))
            first = entries.filter(fresh)
            first = first.join(held.filter(pl.col("scope") == scope), on=keys, how="anti")
            spans = _spans(events, scope).drop(scope)
            found.append(first.join(spans, on=number).with_columns(scope=pl.lit(scope)))
        begun = pl.concat(found)
        dimensions = [_known_by(journey, begun["_row"], name) for name in DIMENSIONS]
        later = [pl.lit(None, pl.Int64).alias(reached(n)) for n in range(1, len(self.funnel.stages))]
        begun = begun.with_columns(
            *dimensions,
            *later,
            _at=pl.col("_at"),
            session=pl.when(pl.col("scope") == "session").then("session"),
            ended=pl.lit(value=False),
            counted=pl.lit(value=False),
            due=pl.lit(None, pl.Int64),
        ).rename({"_at": reached(0)})
        modes = pl.DataFrame({"mode": self.funnel.modes}, schema={"mode": pl.String()})
        return begun.join(modes, how="cross").select(*held.columns, "_position", "_limit")

    def _over(self, walks: pl.DataFrame, journey: Journey, clock: Clock) -> pl.DataFrame:
        """Which walks are over, and which rows stay: unfinished ones, and marks of what was entered."""
        last = pl.col(reached(0)) + self.funnel.max_time + 1
        in_session = pl.col("scope") == "session"
        # Of visitors that are not touched, sessions are as they were: open, or their walks would have gone with them.
        touched = pl.col("visitor").is_in(journey.touched.implode())
        closed = in_session & touched & ~pl.col("session").is_in(journey.still_open["id"].implode())
        forget = pl.col("window") + self.funnel.window + journey.gap
        walks = walks.with_columns(_over=closed | (last <= clock.watermark))
        mark = pl.when(in_session).then(None).otherwise(forget)
        kept = pl.when(in_session).then(~closed).otherwise(~pl.col("_over") | (forget > clock.watermark))
        return walks.with_columns(_kept=kept, due=pl.when("_over").then(mark).otherwise(last))


def _spans(events: pl.DataFrame, key: str) -> pl.DataFrame:
    """First position and exclusive end of each session's or visitor's events, which stand together."""
    position = pl.col("_position")
    return events.group_by(_NUMBER[key], maintain_order=True).agg(
        pl.col(key).first(), position.first().alias("_first"), (position.last() + 1).alias("_limit")
    )


def _known_by(journey: Journey, rows: pl.Series, name: str) -> pl.Series:
    """The first known value of a dimension in the session of each row, up to that row."""
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    all_rows = journey.rows
    marks = all_rows.select(
        at=pl.when(pl.col(name).is_not_null()).then(row).backward_fill(),
        begin=pl.when(pl.col("_session").ne_missing(pl.col("_session").shift(1))).then(row).forward_fill(),
        resumed=pl.col("_head") & ~pl.col("_new"),
    )
    begin = marks["begin"].gather(rows)
    met = marks["at"].gather(begin)
    seen = pl.DataFrame({"met": met, "row": rows, "begin": begin}).with_columns(
        visitor=all_rows["visitor"].gather(begin), resumed=marks["resumed"].gather(begin)
    )
    seen = seen.with_columns(
        own=all_rows[name].gather(seen.select(pl.when(pl.col("met") <= pl.col("row")).then("met")).to_series())
    )
    held = journey.known.select("visitor", held=name, resumed=pl.lit(value=True))
    seen = seen.join(held, on=["visitor", "resumed"], how="left", maintain_order="left")
    return seen.select(pl.coalesce("held", "own").alias(name)).to_series()
