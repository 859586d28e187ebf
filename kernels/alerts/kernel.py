"""Incidents: when a rule begins to hold for a series, and when that is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.alerts.absence import watch_silence
from ecompulse.kernels.alerts.evaluation import evaluate, with_base
from ecompulse.kernels.alerts.incidents import ALERT_SCHEMA, NEVER, TURN_SCHEMA, shown
from ecompulse.kernels.alerts.matching import READING_SCHEMA
from ecompulse.kernels.alerts.rules import Watch
from ecompulse.kernels.metrics.definition import DAY_MS
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

WATCHED: Final = "watched"
HISTORY: Final = "history"

WATCHED_SCHEMA: Final = pl.Schema(
    {
        "watched": pl.String(),
        "rule": pl.String(),
        "series": pl.String(),
        "last": pl.Int64(),
        "began": pl.Int64(),
        "since": pl.Int64(),
        "heard": pl.Int64(),
        "expires": pl.Int64(),
    }
)
"""Per rule and series: `last` window end judged, `began` = end of the first window of the run in which the condition
holds, `since` = that of the incident that is firing (both null for none), `heard` = `now` when data last came."""

HISTORY_SCHEMA: Final = pl.Schema(
    {
        "watched": pl.String(),
        "end": pl.Int64(),
        "value": pl.Int128(),
        "revision": pl.Int64(),
        "until": pl.Int64(),
        "expires": pl.Int64(),
    }
)
"""`until`: end of the last window that may be compared with it."""

FORGET_AFTER: Final = 400 * DAY_MS
"""Ms after a series' last window: more than any leap of the watermark within which its next window may come."""


@dataclass(frozen=True)
class RaiseAlerts:
    """Fires and recovers the incidents of rules, once each.

    Each series of a rule's metric is judged by itself, window after window, on final rows in the order of window
    ends. An incident fires when the condition has held in every window for `for`, and recovers with the first
    window that is back at `recover` (without it: in which the condition does not hold). A window without a value, or
    with nothing to compare with (no such window, null, 0), changes nothing. A gap between windows of more
    than a slide ends a run that has not fired yet. A window is judged once: a late revision only
    corrects what later windows are compared with.

    `since` is the end of the first window of the run, and `incident_id` comes from rule, series and `since`: the
    same in every run, and what is fired or recovered twice after a crash has the same `id`.

    Absence goes by processing time: it fires when `now` is `absent` after the step in which the series last had
    data (`since`: end of its last window with data), and recovers with a later one. It needs a `tick`
    per epoch; only these incidents depend on the cut into epochs.

    Keying: rule and series; rules of absence by rule alone. State: `watched`, one row of about 100 bytes per rule and
    series, gone 400 days after its last window unless it fires; `history`, for rules that compare, one row per
    window for the window's length, a day or a week of the series' own time. A changed rule goes on from the state of
    its name.

    Attributes:
        watches: the rules (`RuleSet.bind`).
        timezone: of "yesterday" and "last week": the same local time, whatever the clock did in between.
        name: of the operator.

    Output: `metric_alerts`.
    """

    watches: tuple[Watch, ...]
    timezone: str = "UTC"
    name: str = "metric_alerts"
    version: int = field(default=1, init=False)

    @property
    def inputs(self) -> pl.Schema:
        """Readings."""
        return READING_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """`watched` and `history`."""
        return (
            Table(WATCHED, WATCHED_SCHEMA, key="watched", expires="expires"),
            Table(HISTORY, HISTORY_SCHEMA, key="watched", expires="expires"),
        )

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Alerts."""
        return {"metric_alerts": ALERT_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """Rule and series."""
        return batch["watched"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Judge the windows of one epoch."""
        keys = batch["watched"].unique()
        held = state.lookup(WATCHED, keys)
        silent = [watch.name for watch in self.watches if watch.rule.absent]
        of_silence = pl.col("rule").is_in(silent)
        readings = batch.filter(~of_silence)
        history = self._history(state, readings)
        alerts, watched = self._judged(readings, held.filter(~of_silence), history, clock)
        quiet, listened = watch_silence(batch.filter(of_silence), held.filter(of_silence), self.watches, clock)
        rows = pl.concat([watched, listened]).filter(pl.col("expires") > _passed(clock))
        changes = {WATCHED: Change(keys, rows.select(WATCHED_SCHEMA.names()))}
        comparing = history["watched"].unique()
        if comparing.len():
            kept = history.filter(pl.col("until") > pl.col("end").max().over("watched"))
            changes[HISTORY] = Change(comparing, kept.select(HISTORY_SCHEMA.names()))
        return Step({"metric_alerts": shown(pl.concat([alerts, quiet]), self.watches)}, changes)

    def _history(self, state: StateView, readings: pl.DataFrame) -> pl.DataFrame:
        """Values of past windows and of this step, of rules that compare: the latest revision of each."""
        horizons = {watch.name: watch.horizon for watch in self.watches if watch.horizon}
        chosen = readings.filter(pl.col("rule").is_in(list(horizons)))
        if chosen.is_empty():
            return no_rows(HISTORY_SCHEMA)
        horizon = pl.col("rule").replace_strict(horizons, return_dtype=pl.Int64)
        fresh = chosen.with_columns(until=pl.col("end") + horizon, expires=pl.col("end") + FORGET_AFTER)
        fresh = fresh.select(HISTORY_SCHEMA.names())
        rows = pl.concat([state.lookup(HISTORY, chosen["watched"].unique()), fresh])
        return rows.sort("watched", "end", "revision").unique(["watched", "end"], keep="last", maintain_order=True)

    def _judged(
        self, readings: pl.DataFrame, held: pl.DataFrame, history: pl.DataFrame, clock: Clock
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        if readings.is_empty():
            return no_rows(TURN_SCHEMA), held
        known = held.select("watched", "last", "began", "since")
        rows = readings.sort("watched", "end", "revision").unique(["watched", "end"], keep="last", maintain_order=True)
        rows = rows.join(known, on="watched", how="left", maintain_order="left")
        rows = rows.filter((pl.col("end") > pl.col("last")).fill_null(value=True))
        told = evaluate(with_base(rows, history, self.watches, self.timezone), self.watches)
        after = told.group_by("watched", maintain_order=True).agg(
            pl.col("rule", "series").first(), pl.col("end").last().alias("last"), pl.col("run", "incident").last()
        )
        kept = pl.when(pl.col("incident").is_not_null()).then(NEVER).otherwise(pl.col("last") + FORGET_AFTER)
        after = after.with_columns(expires=kept, began="run", since="incident", heard=pl.lit(clock.now, pl.Int64))
        untouched = held.join(after, on="watched", how="anti")
        return told.filter("turned").select(TURN_SCHEMA.names()), pl.concat(
            [untouched, after.select(WATCHED_SCHEMA.names())]
        )


def _passed(clock: Clock) -> int:
    """Watermark by which rows are forgotten; draining ages nothing."""
    return -NEVER if clock.watermark >= END_OF_TIME else clock.watermark
