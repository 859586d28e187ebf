"""Identity: the `visitor` of an event, resolved from the identities known for its device at that moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import FRAME_SCHEMA, ORDER
from ecompulse.kernels.rows import (
    CAME_LATE,
    DAY_MS,
    DUE,
    ORDER_SCHEMA,
    check_columns,
    check_duration,
    divided,
    millis,
    next_day,
    no_rows,
)
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, OrderedList, StateView, Step, Table, Wait

NEEDED: Final = ("event_type", "user_id", "anonymous_id", *ORDER)
"""Columns that the kernel reads; the caller chooses which others it carries."""

_CHANGES: Final = pl.Schema({"anonymous_id": pl.String(), **ORDER_SCHEMA, "user_id": pl.String()})
_IDENTITIES: Final = Table(
    name="identities", schema=pl.Schema({**_CHANGES, DUE: pl.Int64()}), key="anonymous_id", due=DUE
)
_ROW: Final = "_row"
_NO_DEVICE: Final = "\x1f"  # keeps users without anonymous_id apart from devices of the same text


@dataclass(frozen=True)
class ResolveIdentity:
    """Adds `visitor` to events.

    `visitor` is the latest `user_id` seen for this `anonymous_id` at or before the event in the total order
    `event.ORDER`, else `user_id`, else `anonymous_id`. A `logout` still belongs to
    the user who leaves and ends the identity for what follows; another user on the device replaces the
    first. An identity also lapses: it applies to events less than `lapse` after that user_id was last seen there.

    When: rows that carry a `user_id`, or no `anonymous_id`, are emitted in the step that reads them, since nothing
    later can change them. The others wait, stored, for watermark > event_time (rows at the watermark may still come),
    and are resolved then: so the result is the same for any cut, order and sharding within the delay. Late rows
    (event_time < watermark) are emitted at once, resolved by the identities still known; their own user_id applies to
    the rows after them. Nothing is lost. A row that a step gives was at or after the watermark of the step *before*, or
    late there: operators downstream in the same epoch must use that earlier watermark, as with a watermark hold in
    Beam.

    With `settles` all rows wait, and `came_late` says of each whether it was late when it was read. So operators
    downstream need not hold rows once more, and use the same watermark; only those that read `came_late` can be fed so.

    Keying: `anonymous_id`; rows without one need no state and are keyed by `user_id`. State: `identities`, per device
    with a user one row (about 40 bytes and the two ids) plus one per user_id or logout that the watermark has not
    passed; devices never signed in have none. `pending`, the waiting rows. Expiry: a settled logout goes at once, an
    identity at the first UTC midnight after it lapsed; not while draining, so that tomorrow's run knows it.

    Attributes:
        columns: what is carried through; at least `NEEDED`.
        lapse: ms of event time; 30 days.
        settles: all rows wait for the watermark.
        name: of the operator.

    Output: `identified`, `columns` and `visitor`; with `settles` also `came_late`.
    """

    columns: pl.Schema = field(default_factory=lambda: FRAME_SCHEMA)
    lapse: int = 30 * DAY_MS
    settles: bool = False
    name: str = "identity"
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_columns(self.name, self.columns, NEEDED)
        check_duration(self.name, "lapse", self.lapse)

    @property
    def holds(self) -> int | None:
        """See `Kernel`: rows that say whether they came late are not taken for late."""
        return None if self.settles else 0

    @property
    def _pending(self) -> OrderedList:
        return OrderedList("pending", self.columns, shard_by="anonymous_id")

    @property
    def tables(self) -> Sequence[Table | OrderedList]:
        """`identities` by device, and the `pending` rows."""
        return (_IDENTITIES, self._pending)

    @property
    def inputs(self) -> pl.Schema:
        """What is carried through."""
        return self.columns

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Events with their visitor."""
        settled = {CAME_LATE: pl.Boolean()} if self.settles else {}
        return {"identified": pl.Schema({**self.columns, "visitor": pl.String(), **settled})}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The device, else the user."""
        user = _NO_DEVICE + pl.col("user_id").fill_null("")
        return batch.select(key=pl.coalesce("anonymous_id", user)).to_series()

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Resolve what the watermark has passed, keep the rest."""
        rows = batch.select(self.columns.names())
        asking = pl.col("anonymous_id").is_not_null() & pl.col("user_id").is_null()
        ahead = millis() >= clock.watermark
        now, early = divided(rows, ahead if self.settles else ahead & asking)
        waiting = early.with_columns((millis() + 1).alias(DUE))
        ripe = state.due("pending", clock.watermark)
        emitted = pl.concat([
            now.with_columns(pl.lit(value=clock.watermark < END_OF_TIME).alias(CAME_LATE)),
            ripe.drop(DUE).with_columns(pl.lit(value=False).alias(CAME_LATE)),
        ])  # fmt: skip
        changes = _changes(rows)

        lapsed = self._lapsed(state, clock)
        touched = pl.concat([changes["anonymous_id"], lapsed["anonymous_id"]]).unique()
        asked = emitted.select("anonymous_id", "user_id", *ORDER).with_row_index(_ROW).filter(asking)
        keys = pl.concat([touched, asked["anonymous_id"]]).unique()
        history = pl.concat([state.lookup(_IDENTITIES.name, keys).select(_CHANGES.names()), changes])

        identified = emitted.with_columns(self._visitors(emitted, asked, history)).select(
            self.outputs["identified"].names()
        )
        kept = history.filter(pl.col("anonymous_id").is_in(touched.implode()))
        changed: dict[str, Change | Wait] = {
            _IDENTITIES.name: Change(touched, self._kept(kept, clock)),
            "pending": Wait(waiting),
        }
        balance = {"identified": identified.height, "held": waiting.height - ripe.height}
        return Step({"identified": identified}, changed, balance)

    def _lapsed(self, state: StateView, clock: Clock) -> pl.DataFrame:
        # A drained input ends today's run, not what is known of devices.
        if clock.watermark >= END_OF_TIME:
            return no_rows(_IDENTITIES.schema)
        return state.due(_IDENTITIES.name, clock.watermark)

    def _visitors(self, rows: pl.DataFrame, asked: pl.DataFrame, history: pl.DataFrame) -> pl.Series:
        """The `visitor` of each row; `asked` are those (by number) that do not say who it is."""
        # Most devices have never signed in: only the others' rows need an order.
        walking = asked.filter(pl.col("anonymous_id").is_in(history["anonymous_id"].unique().implode()))
        own = rows.select("user_id", "anonymous_id")
        if walking.is_empty():
            return own.select(visitor=pl.coalesce("user_id", "anonymous_id")).to_series()
        met = self._resolved(walking, history)
        joined = own.with_row_index(_ROW).join(met, on=_ROW, how="left", maintain_order="left")
        return joined.select(visitor=pl.coalesce("visitor", "user_id", "anonymous_id")).to_series()

    def _resolved(self, asked: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
        """Rows (by number) of devices with a history; `visitor` is null where none applies."""
        known = history.select("anonymous_id", *ORDER, _user="user_id", _since=millis())
        # A logout is asked about and is a change: it asks first.
        line = pl.concat([asked.with_columns(_change=pl.lit(0)), known.with_columns(_change=pl.lit(1))], how="diagonal")
        line = line.sort(*ORDER, "_change").with_row_index("_rank")
        asking = line.filter(pl.col("_change") == 0).drop("_user", "_since")
        knowing = line.filter(pl.col("_change") == 1).select("_rank", "anonymous_id", "_user", "_since")
        met = asking.join_asof(knowing, on="_rank", by="anonymous_id", strategy="backward", check_sortedness=False)
        fresh = millis() - pl.col("_since") < self.lapse
        return met.select(_ROW, visitor=pl.when(fresh).then("_user").otherwise(None))

    def _kept(self, history: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """The changes that may still be looked up: those at or after the watermark, and the last one before it."""
        rows = history.sort("anonymous_id", *ORDER).with_columns(_at=millis())
        follows = pl.col("anonymous_id") == pl.col("anonymous_id").shift(-1)
        superseded = follows & (pl.col("_at").shift(-1) < clock.watermark)
        rows = rows.filter(~superseded.fill_null(value=False))
        settled = pl.col("_at") < clock.watermark
        over = pl.col("user_id").is_null()
        if clock.watermark < END_OF_TIME:
            over |= pl.col("_at") + self.lapse <= clock.watermark
        rows = rows.filter(~(settled & over))
        # One visit once all is settled; a lone identity is left alone until it has lapsed.
        last = (pl.col("anonymous_id") != pl.col("anonymous_id").shift(-1)).fill_null(value=True)
        alone = last & (pl.col("anonymous_id") != pl.col("anonymous_id").shift(1)).fill_null(value=True)
        lasting = alone & pl.col("user_id").is_not_null()
        due = pl.when(lasting).then(next_day(pl.col("_at") + self.lapse)).when(last).then(pl.col("_at") + 1)
        return rows.with_columns(due.otherwise(None).alias(DUE)).select(_IDENTITIES.schema.names())


def _changes(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that set the identity of a device from then on; null after a logout."""
    leaving = (pl.col("event_type") == "logout").fill_null(value=False)
    told = rows.filter(pl.col("anonymous_id").is_not_null(), pl.col("user_id").is_not_null() | leaving)
    user = pl.when(leaving).then(None).otherwise("user_id")
    return told.with_columns(user_id=user).select(_CHANGES.names())
