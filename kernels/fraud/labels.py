"""`JoinLabels`: transactions once each and in order, and what becomes known of them later, told to their entities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import ORDER, TIME
from ecompulse.kernels.fraud.entity import ROW_SCHEMA, TEXTS, TRANSACTION_SCHEMA
from ecompulse.kernels.fraud.entity_timeline import Ints
from ecompulse.kernels.fraud.label_resolution import Labels, ResolvedLabels, fitting, met, own, stand
from ecompulse.kernels.mapping import Mapping as FieldMapping
from ecompulse.kernels.metrics.typed import bounded
from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA
from ecompulse.kernels.rows import DAY_MS, DUE, check_duration, conform, in_order, millis, no_rows
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

ROLE: Final = "labels"
SOURCES: Final = ("review", "chargeback")
"""Where labels come from, the weaker first."""

_LABELS: Final = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}

LABEL_MAPPING: Final = FieldMapping(
    help="labels of transactions",
    fields={
        "event_time": "label_time",
        "event_id": "transaction_id",
        "anonymous_id": "label",
        "session_id": "source",
    },
    constants={"event_type": "label"},
    values={"anonymous_id": tuple(_LABELS), "session_id": SOURCES},
    drop=("user_id",),  # else a row with one would need no label
    lenient=True,
)
"""How a label is read as an event, so that the same rules decode it: what breaks one is a dead letter."""

TOLD: Final = pl.Schema({"label": pl.Int64(), "rank": pl.Int64()})
LABELLED_SCHEMA: Final = pl.Schema({**TRANSACTION_SCHEMA, **TOLD})
"""Transactions, and labels: `transaction_id`, `event_time` when it was given, `label` 0 or 1, `rank` of its source."""

MARKED_SCHEMA: Final = pl.Schema({**ROW_SCHEMA, "label": pl.Int64()})
"""Marks: the transaction's entities, `event_time` when it counts, `known` and `frauds` to add, the label now."""

_NOTHING: Final = -2  # rank of what has no label
_SILENCE: Final = -1  # rank of the label that silence is
_IDS: Final = pl.Schema(dict.fromkeys(TEXTS, pl.String()))
_KNOWN: Final = Table(
    "transactions",
    pl.Schema({"transaction_id": pl.String(), **_IDS, "at": pl.Int64(), **TOLD, DUE: pl.Int64(), "ends": pl.Int64()}),
    "transaction_id",
    due=DUE,
    expires="ends",
)
_PENDING: Final = Table("pending", pl.Schema({**TRANSACTION_SCHEMA, DUE: pl.Int64()}), "transaction_id", due=DUE)
_WAITING: Final = Table(
    "waiting",
    pl.Schema({"transaction_id": pl.String(), "counts": pl.Int64(), **TOLD, DUE: pl.Int64()}),
    "transaction_id",
    due=DUE,
)


def to_labels(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that LABEL_MAPPING has decoded (FRAME_SCHEMA) as LABELLED_SCHEMA; without a source they are a review's."""
    label = pl.col("anonymous_id").replace_strict(_LABELS, return_dtype=pl.Int64)
    rank = pl.col("session_id").replace_strict(SOURCES, range(len(SOURCES)), default=0, return_dtype=pl.Int64)
    return as_labelled(rows.select(*ORDER, transaction_id="event_id", label=label, rank=rank))


def as_labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns of LABELLED_SCHEMA; those that a row does not have are null."""
    return conform(rows, LABELLED_SCHEMA)


@dataclass(frozen=True)
class JoinLabels:
    """Passes each transaction once, and tells its entities when its label becomes known.

    Of several rows of one transaction (an authorised and a captured payment) the first by the total order passes. A
    label counts from its time plus `wait`: so it makes no difference when it is read, as long as that is before the
    watermark is there. Of a transaction's labels a later one overrides, unless its source ranks lower (SOURCES). A
    transaction without label counts as legitimate from `horizon` after it; labels are heeded until twice that.

    When: a transaction comes out once the watermark has passed it, so that what follows sees transactions in the order
    of time; a mark once the watermark has passed the time from which it counts. What comes late comes out at once. What
    is fed by these outputs in the same epoch must be clocked by the watermark before. A label of an unknown
    transaction, or of one that is too old or later than the label, is counted as `unmatched`.

    Keying: transaction id. State: `transactions`, ids and two times each (about 150 bytes), for twice the horizon;
    `pending`, transactions that the watermark has not passed; `waiting`, labels that do not count yet. Draining lets
    those count that do by the last event, and ages nothing.

    Attributes:
        horizon: ms.
        wait: ms of event time.
        window: ms; grain of the counts of data quality.
        lines: rows of one transaction and time are lines of one order: their amounts are added up.

    Outputs: `transactions`, `marks` (MARKED_SCHEMA), `quality` (PARTIAL_SCHEMA), to be booked by whoever adds it up.
    """

    horizon: int = 30 * DAY_MS
    wait: int = DAY_MS
    window: int = 3_600_000
    lines: bool = False
    name: str = "labels"
    version: int = field(default=1, init=False)
    holds: ClassVar = 0

    def __post_init__(self) -> None:
        check_duration(self.name, "wait", self.wait)
        if self.horizon < 1:
            raise ValueError(f"{self.name}: horizon must be 1 ms or more, not {self.horizon}")

    @property
    def tables(self) -> Sequence[Table]:
        """`transactions`, `pending` and `waiting` by transaction."""
        return (_KNOWN, _PENDING, _WAITING)

    @property
    def inputs(self) -> pl.Schema:
        """Transactions and labels."""
        return LABELLED_SCHEMA

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Transactions once each, marks, counts."""
        return {"transactions": TRANSACTION_SCHEMA, "marks": MARKED_SCHEMA, "quality": PARTIAL_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The transaction."""
        return batch["transaction_id"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Register what is new, tell what has become known."""
        draining, until = clock.watermark >= END_OF_TIME, clock.watermark
        due = [state.due(name, until) for name in ("waiting", "pending", *([] if draining else ["transactions"]))]
        keys = pl.concat([batch["transaction_id"], *(rows["transaction_id"] for rows in due)])
        known, held, waiting = (state.lookup(table.name, keys) for table in self.tables)
        label = batch["label"].is_not_null()
        rows, pending = self._passed(held, batch.filter(~label), until)
        told = batch.filter(label).select("transaction_id", *TOLD, counts=millis() + self.wait)
        told = pl.concat([waiting[told.columns], told])
        first, numbers = met(known, rows, told)
        fresh = rows if first.size == rows.height else rows[first]
        old, known = known.height, pl.concat([known, self._registered(fresh)], rechunk=True)

        heard = Labels(numbers, *(told[name].to_numpy() for name in ("counts", *TOLD)))
        ripe = (heard.of >= 0) & (heard.counts <= clock.latest) if draining else heard.counts < until
        left = told.filter(~ripe).with_columns((pl.col("counts") + 1).alias(DUE)).select(_WAITING.schema.names())
        fits, unmatched = fitting(known, heard[ripe])
        stood = stand(fits if draining else fits.then(self._silent(known, until)), *own(known))
        outputs = {"transactions": fresh[TRANSACTION_SCHEMA.names()], "marks": _marks(known, stood)}
        outputs["quality"] = self._quality(unmatched, self._copies(rows, first))
        after = self._after(known, old, stood)
        changed = {"transactions": (after, after), "pending": (held, pending), "waiting": (waiting, left)}
        return Step(outputs, {name: _change(*pair) for name, pair in changed.items() if any(map(len, pair))})

    def _passed(self, held: pl.DataFrame, new: pl.DataFrame, until: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Transactions that the watermark has passed, in order, and those to be held."""
        names = TRANSACTION_SCHEMA.names()
        rows = in_order(pl.concat([held[names], new[names]]))
        early = rows["event_time"].to_physical() < until
        pending = rows.filter(~early).with_columns((millis() + 1).alias(DUE))
        rows = rows if early.all() else rows.filter(early)
        if self.lines:
            minor = pl.col("minor").cast(pl.Int128)
            total = pl.when(minor.count() > 0).then(minor.sum()).over("transaction_id", "event_time")
            rows = rows.with_columns(minor=bounded(total))  # unknown beyond, like each amount
        return rows, pending

    def _registered(self, fresh: pl.DataFrame) -> pl.DataFrame:
        new = fresh.with_columns(
            at=millis(),
            label=pl.lit(None, pl.Int64),
            rank=pl.lit(_NOTHING, pl.Int64),
            ends=millis() + 2 * self.horizon + self.wait,
        )
        return new.with_columns((pl.col("at") + self.horizon + 1).alias(DUE)).select(_KNOWN.schema.names())

    def _silent(self, known: pl.DataFrame, until: int) -> Labels:
        """The labels that silence is: of transactions without one that are older than the horizon."""
        at = known["at"].to_numpy()
        silent = np.flatnonzero((known["rank"].to_numpy() == _NOTHING) & (at + self.horizon < until))
        nothing = np.zeros(silent.size, np.int64)
        return Labels(silent, at[silent] + self.horizon, nothing, nothing + _SILENCE)

    def _after(self, known: pl.DataFrame, old: int, stood: ResolvedLabels) -> pl.DataFrame:
        """Those of the transactions that have changed: new ones (from number `old` on), and of new labels."""
        last = stood.labels[stood.last]
        changed = np.arange(known.height) >= old
        changed[last.of] = True
        label, blank, rank = (column.copy() for column in own(known))
        label[last.of], blank[last.of], rank[last.of] = last.label, False, last.rank
        told = pl.DataFrame({"label": label, "blank": blank, "rank": rank})
        due = pl.when(pl.col("rank") == _NOTHING).then(pl.col("at") + self.horizon + 1)
        found = known.drop(told.columns, strict=False).hstack(told)[np.flatnonzero(changed)]
        found = found.with_columns(pl.when(~pl.col("blank")).then("label").alias("label"), due.alias(DUE))
        return found[_KNOWN.schema.names()]

    def _copies(self, rows: pl.DataFrame, first: Ints) -> pl.DataFrame:
        """Rows of transactions that have passed already, in this step or before."""
        copy = np.ones(rows.height, dtype=bool)
        copy[first] = False
        if not copy.any():
            return rows.clear()
        once = ["transaction_id", "event_time"] if self.lines else list(ORDER)
        return rows.filter(copy).join(rows[first].select(once), on=once, how="anti", nulls_equal=True)

    def _quality(self, unmatched: Ints, copies: pl.DataFrame) -> pl.DataFrame:
        parts = [no_rows(PARTIAL_SCHEMA)]
        if unmatched.size:
            parts.append(self._counted(pl.DataFrame({"at": unmatched}), "label", "unmatched"))
        if copies.height:
            parts.append(self._counted(copies.select(at=millis()), "duplicate", "transaction_id"))
        return pl.concat(parts)

    def _counted(self, rows: pl.DataFrame, check: str, subject: str) -> pl.DataFrame:
        start = (pl.col("at") // self.window * self.window).cast(TIME)
        counted = rows.group_by(window_start=start).agg(count=pl.len().cast(pl.Int64))
        told = counted.with_columns(check_name=pl.lit(check), subject=pl.lit(subject), rows=pl.col("count"))
        return told.select(PARTIAL_SCHEMA.names()).sort("window_start")


def _change(before: pl.DataFrame, after: pl.DataFrame) -> Change:
    """Of the keys that had rows or have some; of the others that were asked for there is nothing to say."""
    ids = after["transaction_id"]
    return Change(ids if before is after else pl.concat([before["transaction_id"], ids]), after)


def _marks(known: pl.DataFrame, stood: ResolvedLabels) -> pl.DataFrame:
    """What entities are told, in the order of time."""
    news = np.flatnonzero((stood.known != 0) | (stood.frauds != 0))
    line = stood.labels[news]
    by = pl.DataFrame({"at": line.counts, "id": known["transaction_id"][line.of]})
    order = by.select(pl.arg_sort_by("at", "id", maintain_order=True)).to_series().to_numpy()
    news, line = news[order], line[order]
    told = {"known": stood.known[news], "frauds": stood.frauds[news], "label": line.label}
    found = known[["transaction_id", *TEXTS]][line.of].hstack([pl.Series(name, told[name]) for name in told])
    return conform(found.with_columns(pl.Series("event_time", line.counts).cast(TIME)), MARKED_SCHEMA)
