"""Temporal join: an event gets the version of a record that was in force at its event time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import FRAME_SCHEMA, ORDER, TIME
from ecompulse.kernels.rows import (
    DAY_MS,
    DUE,
    ORDER_SCHEMA,
    check_columns,
    check_duration,
    conform,
    millis,
    next_day,
    reference,
)
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, OrderedList, StateView, Step, Table, Wait

SIDE: Final = "side"
EVENT: Final = "event"
UPDATE: Final = "update"

FOUND: Final = "found"
NO_VERSION: Final = "no_version"
NO_KEY: Final = "no_key"

_NO_KEY: Final = "\x1f"  # rows without key are spread over the shards by their position


@dataclass(frozen=True)
class JoinVersions:
    """Adds to each event the columns of the latest version with updated_at <= event_time.

    One frame holds both streams, told apart by `side` (`asked` and `told` build them): an `event` row has `columns`; an
    `update` row has `on`, its position, the columns of `values`, and its updated_at in `event_time`. Of
    versions with equal updated_at the last by (source, source_partition, source_offset) counts. An update without key
    belongs to nobody and is ignored: its decoder refuses it.

    When: with `wait` 0 an event is answered in the step that reads it, by the best version known then, that
    step's updates included; a version that arrives in a later epoch does not correct it. With `wait` > 0 it
    is held until watermark >= event_time + `wait`. The watermark is the events' own, so update streams hold
    up nobody, however sparse. Then the result is exact, for any cut, order and sharding, if every update is
    read before the watermark reaches updated_at + `wait`, and events come within the delay.

    Late events are answered at once, right as long as their version is kept: versions stay until a newer
    one is `retention` + `wait` behind the watermark; the latest stays until it lapses.

    Keying: `on`. State: `versions`, at rest one row per key of about 40 bytes, the key and `values`;
    `held`, the waiting events (nothing when `wait` is 0). Expiry: a version serves
    events less than `lapse` after its updated_at and is removed at the first UTC midnight after that, plus
    retention and wait; None keeps it for ever. Draining answers all that is held and removes nothing.

    Attributes:
        on: name of the key column, in `columns`.
        values: schema of a version's columns, without `on` and the order; named as in the output.
        wait: ms of event time (`--join_wait`).
        columns: what is carried through of an event; at least `on` and `ORDER`.
        retention: ms of event time; take the watermark delay or more.
        lapse: ms of event time, or None.
        prefix: of the two columns that tell about the match.
        name: of the operator.

    Output: `joined`, `columns`, `values`, `<prefix>version_at` and `<prefix>version_status`:
    `found`, `no_version` (fall back to the look-up), `no_key`.
    """

    on: str
    values: pl.Schema
    wait: int = 0
    columns: pl.Schema = field(default_factory=lambda: FRAME_SCHEMA)
    retention: int = 600_000
    lapse: int | None = 365 * DAY_MS
    prefix: str = ""
    name: str = "temporal_join"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_columns(self.name, self.columns, (self.on, *ORDER))
        check_columns(self.name, self.values, ())
        for setting in ("wait", "retention", "lapse"):
            check_duration(self.name, setting, getattr(self, setting) or 0)
        taken = [name for name in (*self.values, *self._match) if name in (*self.columns, SIDE)]
        if taken:
            raise ValueError(f"{self.name}: event and version both have {', '.join(taken)}; rename one")
        if self.columns[self.on] != pl.String():
            raise ValueError(f"{self.name}: the key {self.on} must be text, not {self.columns[self.on]}")

    @property
    def _match(self) -> pl.Schema:
        return pl.Schema({f"{self.prefix}version_at": TIME, f"{self.prefix}version_status": pl.String()})

    @property
    def _versions(self) -> Table:
        schema = pl.Schema({self.on: pl.String(), **ORDER_SCHEMA, **self.values, DUE: pl.Int64()})
        return Table(name="versions", schema=schema, key=self.on, due=DUE)

    @property
    def _held(self) -> OrderedList:
        return OrderedList("held", self.columns, shard_by=self.on)

    @property
    def holds(self) -> int | None:
        """Events wait for their version as long as that may take."""
        return self.wait or None

    @property
    def tables(self) -> Sequence[Table | OrderedList]:
        """`versions` by key; with a wait, the `held` events."""
        return (self._versions, self._held) if self.wait else (self._versions,)

    @property
    def inputs(self) -> pl.Schema:
        """Both streams in one frame, told apart by `side`."""
        return pl.Schema({**self.columns, **self.values, SIDE: pl.String()})

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Events with their version."""
        return {"joined": pl.Schema({**self.columns, **self.values, **self._match})}

    def asked(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events as the kernel takes them (`inputs`)."""
        return self._side(events.select(self.columns.names()), EVENT)

    def told(self, updates: pl.DataFrame) -> pl.DataFrame:
        """Versions (key, ORDER, `values`; updated_at in `event_time`) as the kernel takes them (`inputs`)."""
        return self._side(updates.select(self.on, *ORDER, *self.values), UPDATE)

    def sides(self, events: pl.DataFrame, updates: pl.DataFrame) -> pl.DataFrame:
        """Both streams in one frame."""
        return pl.concat([self.asked(events), self.told(updates)])

    def _side(self, rows: pl.DataFrame, side: str) -> pl.DataFrame:
        return conform(rows.with_columns(pl.lit(side).alias(SIDE)), self.inputs)

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The record's key; rows without one are spread by position."""
        return batch.select(key=pl.coalesce(self.on, _NO_KEY + reference())).to_series()

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Answer what is ripe, hold the rest, keep new versions."""
        asked, changes, held = self._asked(state, batch, clock)
        updates = batch.filter(pl.col(SIDE) == UPDATE, pl.col(self.on).is_not_null())
        touched = pl.concat([updates[self.on], self._settled(state, clock)]).unique()
        keys = pl.concat([touched, asked[self.on]]).unique()
        stored = [name for name in self._versions.schema if name != DUE]
        known = self._ordered(pl.concat([state.lookup("versions", keys).select(stored), updates.select(stored)]))
        kept = known.filter(pl.col(self.on).is_in(touched.implode()))
        joined = self._answered(asked, known)
        balance = {"joined": joined.height, "held": held, "versions": batch.filter(pl.col(SIDE) == UPDATE).height}
        return Step({"joined": joined}, {**changes, "versions": Change(touched, self._kept(kept, clock))}, balance)

    def _asked(
        self, state: StateView, batch: pl.DataFrame, clock: Clock
    ) -> tuple[pl.DataFrame, dict[str, Change | Wait], int]:
        """Events to answer now, those that wait from now on, and how many more wait than before."""
        events = batch.filter(pl.col(SIDE) == EVENT).select(self.columns.names())
        if not self.wait:
            return events, {}, 0
        ripe, due = state.due("held", clock.watermark), millis() + self.wait
        waiting = events.filter(due > clock.watermark).with_columns(due.alias(DUE))
        asked = pl.concat([events.filter(due <= clock.watermark), ripe.select(self.columns.names())])
        return asked, {"held": Wait(waiting)}, waiting.height - ripe.height

    def _settled(self, state: StateView, clock: Clock) -> pl.Series:
        """Keys that are to be tidied."""
        # A drained input ends today's run, not what is known of records.
        if clock.watermark >= END_OF_TIME:
            return pl.Series(self.on, [], pl.String())
        return state.due("versions", clock.watermark)[self.on]

    def _ordered(self, versions: pl.DataFrame) -> pl.DataFrame:
        """By key and order; of equal times the last."""
        rows = versions.sort(self.on, *ORDER)
        again = (pl.col(self.on) == pl.col(self.on).shift(-1)) & (
            pl.col("event_time") == pl.col("event_time").shift(-1)
        )
        return rows.filter(~again.fill_null(value=False))

    def _answered(self, asked: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        at, status = self._match.names()
        versions = known.select(self.on, "event_time", *self.values, pl.col("event_time").alias(at))
        met = asked.sort(ORDER).join_asof(
            versions.sort("event_time"),
            on="event_time",
            by=self.on,
            strategy="backward",
            check_sortedness=False,
        )
        found = pl.col(at).is_not_null()
        if self.lapse is not None:
            found &= millis() - millis(at) < self.lapse
        found = found.fill_null(value=False)
        told = (
            pl.when(found)
            .then(pl.lit(FOUND))
            .when(pl.col(self.on).is_null())
            .then(pl.lit(NO_KEY))
            .otherwise(pl.lit(NO_VERSION))
        )
        values = [pl.when(found).then(pl.col(name)).alias(name) for name in (*self.values, at)]
        return met.select(*self.columns, *values, told.alias(status))

    def _kept(self, versions: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """What an event may still ask for: versions after the bound, and the last one before it."""
        slack = self.wait + self.retention
        rows = versions.with_columns(_at=millis())
        if clock.watermark < END_OF_TIME:
            bound = clock.watermark - slack
            follows = pl.col(self.on) == pl.col(self.on).shift(-1)
            superseded = follows & (pl.col("_at").shift(-1) <= bound)
            rows = rows.filter(~superseded.fill_null(value=False))
            if self.lapse is not None:
                rows = rows.filter(pl.col("_at") + self.lapse > bound)
        last = (pl.col(self.on) != pl.col(self.on).shift(-1)).fill_null(value=True)
        first = (pl.col(self.on) != pl.col(self.on).shift(1)).fill_null(value=True)
        # One visit once newer versions have settled; a lone version is left alone until it has lapsed.
        lapsed = pl.lit(None, pl.Int64()) if self.lapse is None else next_day(pl.col("_at") + self.lapse + slack)
        due = pl.when(last & first).then(lapsed).when(last).then(pl.col("_at") + slack)
        return rows.with_columns(due.otherwise(None).alias(DUE)).select(self._versions.schema.names())
