"""Incidents of metrics without a rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.alerts.rules import HOUR_MS, VALUE_DECIMALS
from ecompulse.kernels.anomalies.incidents import Policy, Turns, advance, fall_silent, silent_at
from ecompulse.kernels.anomalies.matching import POINT_SCHEMA
from ecompulse.kernels.anomalies.memory import VERSION, Floats, Memory, dump, fresh, load
from ecompulse.kernels.anomalies.output import ANOMALY_SCHEMA, TURN_SCHEMA, as_frame, shown
from ecompulse.kernels.anomalies.stopped import STOPPED, STOPPED_SCHEMA, beat
from ecompulse.kernels.metrics.definition import DAY_MS
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

LEARNT: Final = "learnt"
FORGET_AFTER: Final = 400 * DAY_MS
"""Ms after a series' last window for which it is remembered."""

LEARNT_SCHEMA: Final = pl.Schema(
    {"series": pl.String(), "memory": pl.Binary(), "last": pl.Int64(), "due": pl.Int64(), "expires": pl.Int64()}
)
"""Per series its memory (RECORD, a fixed number of bytes), end of its `last` window (ms), and when it is `due` to be
silent if nothing comes."""

_NO_VALUES: Final = pl.Series([], dtype=pl.Int128)


@dataclass(frozen=True)
class DetectAnomalies:
    """Learns each series of metrics on the stream, and fires and recovers its incidents, once each.

    Each series is judged separately, window after window, on final rows in the order of window ends; a window is judged
    once, by its first row; a late revision changes nothing. See `detector.observe` for the score and
    `incidents.advance` for incidents. Nothing fires before a series has 300 windows and is a day old.

    A series is silent when no window has come for `silence_after`, and for twice its longest gap so far, by event
    time: at the window after the gap, or, if no window comes, when the watermark is `arrival` past the gap. If the
    whole stream has stopped, its watermark stands still. Then epochs in which nothing came are measured by `now`, from
    the first of them on. This needs a `tick` and every `sign_of_life` per epoch. It only makes the row come earlier: it
    is the same row as in event time, and nothing is learnt from it. (If the windows come after all, a short silence was
    reported that event time does not have.)

    `incident_id` is derived from series, kind and `since`, so it is the same in every run. A row that is emitted twice
    after a crash has the same `id`.

    Outputs do not depend on the cut into epochs, nor on shards, as long as windows come within `arrival` of their end.
    There are two exceptions: the silence of a series that has no more windows, which a drain reports only if the
    watermark got that far before, and the silence of a stop by `now`.

    Keying: series (metric, window, dimensions, currency). State: `learnt`, one row of about 16 KB per series, which
    expires 400 days after its last window; `stopped`, one row per shard as long as the stream stands.

    Attributes:
        threshold: score of an incident, in orders of magnitude; higher is quieter.
        settle_after: ms after which an incident that lasts counts as a new regime.
        silence_after: ms.
        arrival: ms by which a final window may be behind the watermark: the longest `lag` of a metric, and an epoch.
        name: of the operator.

    Output: `anomaly_alerts`.
    """

    threshold: float = 4.04
    settle_after: int = 3 * HOUR_MS
    silence_after: int = HOUR_MS // 2
    arrival: int = 2 * HOUR_MS
    name: str = "anomaly_alerts"
    version: int = field(default=VERSION, init=False)

    @property
    def policy(self) -> Policy:
        """When an anomaly is an incident."""
        return Policy(self.threshold, self.settle_after, self.silence_after)

    @property
    def inputs(self) -> pl.Schema:
        """Points."""
        return POINT_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """What is learnt, and whether the stream stands."""
        return (
            Table(LEARNT, LEARNT_SCHEMA, key="series", due="due", expires="expires"),
            Table(STOPPED, STOPPED_SCHEMA, key="series"),
        )

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Alerts."""
        return {"anomaly_alerts": ANOMALY_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The series."""
        return batch["series"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Judge the windows of one epoch."""
        ended = clock.watermark if clock.watermark < END_OF_TIME else -1  # draining makes nobody silent
        rows, clocked = batch.filter(pl.col("end").is_not_null()), batch.filter(pl.col("end").is_null())
        held = pl.concat([state.lookup(LEARNT, rows["series"].unique()), state.due(LEARNT, ended)]).unique("series")
        points = _unjudged(rows, held)
        series, memory = _known(points, held)
        turns = [as_frame(said, series, values) for said, values in self._judged(memory, series, points)]
        quiet = fall_silent(memory, np.full(len(memory), ended - self.arrival), self.policy)
        turns.append(as_frame(quiet, series, _NO_VALUES))
        stop = beat(clocked, state.lookup(STOPPED, clocked["series"].unique()), clock, self.silence_after)
        hushed, told, stop = self._hush(state, series, stop, clock)
        learnt = Change(pl.concat([series, hushed["series"]]), pl.concat([self._rows(series, memory), hushed]))
        changes = {LEARNT: learnt, STOPPED: Change(clocked["series"].unique(), stop)}
        return Step({"anomaly_alerts": shown(pl.concat([*turns, told]))}, changes)

    def _hush(
        self, state: StateView, judged: pl.Series, stop: pl.DataFrame, clock: Clock
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Series that are silent because the stream stands: their new rows, turns, and when to look next."""
        lasts = clock.now - int(stop["began"][0]) if stop.height and clock.watermark < END_OF_TIME else 0
        if not lasts or lasts < stop["next"][0]:
            return no_rows(LEARNT_SCHEMA), no_rows(TURN_SCHEMA), stop
        waiting = state.due(LEARNT, END_OF_TIME - 1).filter(~pl.col("series").is_in(judged.implode())).sort("series")
        series, memory = waiting["series"], load(waiting["memory"].to_list())
        said = fall_silent(memory, memory["last"] + lasts, self.policy)
        patience = silent_at(memory, self.policy) - memory["last"]
        after = stop.with_columns(next=pl.lit(int(patience.min(initial=END_OF_TIME)), pl.Int64))
        rows = self._rows(series, memory)[said.series.tolist()]
        return rows, as_frame(said, series, _NO_VALUES), after

    def _judged(self, memory: Memory, series: pl.Series, points: pl.DataFrame) -> Iterator[tuple[Turns, pl.Series]]:
        """Turns, and the values they point into: the first point of each series, then the second, and so on."""
        place = pl.DataFrame({"series": series, "place": np.arange(len(memory))})
        rows = points.join(place, on="series", how="left", maintain_order="left")
        rows = rows.with_columns(turn=pl.int_range(pl.len()).over("series")).sort("turn", "place")
        start = 0
        for size in rows.group_by("turn").len().sort("turn")["len"].to_list():
            part = rows[start : start + size]  # of the first `size` series: those with most points come first
            start += size
            for said in advance(memory[:size], part["end"].to_numpy(), _floats(part["value"]), self.policy):
                if len(said.series):
                    yield said, part["value"]

    def _rows(self, series: pl.Series, memory: Memory) -> pl.DataFrame:
        due = silent_at(memory, self.policy) + np.where(memory["points"] > 0, self.arrival, 0)
        return pl.DataFrame(
            {
                "series": series,
                "memory": dump(memory),
                "last": memory["last"],
                "due": due,
                "expires": memory["last"] + FORGET_AFTER,
            },
            schema=LEARNT_SCHEMA,
        )


def _unjudged(batch: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Points behind the last one judged, in order; of several rows of a window the first revision."""
    points = batch.join(held.select("series", "last"), on="series", how="left")
    points = points.filter((pl.col("end") > pl.col("last")).fill_null(value=True)).drop("last")
    return points.sort("series", "end", "revision").unique(["series", "end"], keep="first", maintain_order=True)


def _known(points: pl.DataFrame, held: pl.DataFrame) -> tuple[pl.Series, Memory]:
    """The series of a step, those with most points first, and what is remembered of them."""
    counts = pl.concat([points.group_by("series").len(), held.select("series", len=pl.lit(0, pl.UInt32))])
    counts = counts.group_by("series").agg(pl.col("len").sum()).sort(["len", "series"], descending=[True, False])
    series = counts["series"]
    memory = fresh(series.len())
    place = {name: number for number, name in enumerate(series.to_list())}
    if held.height:
        memory[[place[name] for name in held["series"].to_list()]] = load(held["memory"].to_list())
    return series, memory


def _floats(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).to_numpy() / 10**VALUE_DECIMALS
