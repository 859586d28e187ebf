"""`JoinLabels`: transactions once each and in order, and what becomes known of them later, told to their entities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import ORDER, TIME
from ecompulse.kernels.fraud.entity import ROW_SCHEMA, TEXTS, TRANSACTION_SCHEMA
from ecompulse.kernels.mapping import Mapping as FieldMapping
from ecompulse.kernels.quality_totals import PARTIAL_SCHEMA, book
from ecompulse.kernels.rows import DAY_MS, DUE, check_duration, conform, millis
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

ROLE: Final = "labels"
SOURCES: Final = ("review", "chargeback")
"""Where labels come from, the weaker first."""

LABEL_MAPPING: Final = FieldMapping(
    help="labels of transactions",
    fields={"event_time": "label_time", "payment_id": "transaction_id"},
    constants={"event_type": "label", "anonymous_id": "label"},
    event_id="hash",
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
    """Decoded labels (FRAME_SCHEMA) as LABELLED_SCHEMA; a row of no transaction or without 0 or 1 is not one."""
    text = pl.col("properties").str.json_path_match("$.label")
    source = pl.col("properties").str.json_path_match("$.source")
    label = text.replace_strict({"0": 0, "1": 1, "0.0": 0, "1.0": 1}, default=None, return_dtype=pl.Int64)
    rank = source.replace_strict(SOURCES, range(len(SOURCES)), default=0, return_dtype=pl.Int64)
    told = rows.with_columns(transaction_id="payment_id", label=label, rank=rank)
    told = told.filter(pl.col("transaction_id").is_not_null(), pl.col("label").is_not_null())
    return as_labelled(told.select("transaction_id", *ORDER, *TOLD))


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
    waiting labels count, and ages nothing.

    Attributes:
        horizon: ms.
        wait: ms of event time.
        window: ms; grain of the counts of data quality.
        lines: rows of one transaction and time are lines of one order: their amounts are added up.

    Outputs: `transactions`, `marks` (MARKED_SCHEMA), `quality` (PARTIAL_SCHEMA).
    """

    horizon: int = 30 * DAY_MS
    wait: int = DAY_MS
    window: int = 3_600_000
    lines: bool = False
    name: str = "labels"
    version: int = field(default=1, init=False)

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
        new = batch.filter(pl.col("label").is_null()).select(TRANSACTION_SCHEMA.names())
        told = batch.filter(pl.col("label").is_not_null())
        told = told.select("transaction_id", *TOLD, counts=millis() + self.wait)
        due = [state.due(name, until) for name in ("waiting", "pending", *([] if draining else ["transactions"]))]
        keys = pl.concat([batch["transaction_id"], *(rows["transaction_id"] for rows in due)]).unique()
        known = state.lookup("transactions", keys)
        rows = pl.concat([state.lookup("pending", keys).drop(DUE), new]).sort(ORDER)
        pending = rows.filter(millis() >= until).with_columns((millis() + 1).alias(DUE))
        rows = rows.filter(millis() < until)
        if self.lines:
            rows = rows.with_columns(pl.col("minor").sum().over("transaction_id", "event_time"))
        fresh = rows.unique("transaction_id", keep="first", maintain_order=True)
        fresh = fresh.join(known, on="transaction_id", how="anti", maintain_order="left")
        known = pl.concat([known, self._registered(fresh)])
        waiting = state.lookup("waiting", keys).select("transaction_id", "counts", *TOLD)
        told = pl.concat([waiting, told.select(waiting.columns)])
        missing = ~pl.col("transaction_id").is_in(known["transaction_id"].implode())
        ripe = ~missing if draining else pl.col("counts") < until
        marks, after, unmatched = self._judged(known, told.filter(ripe), until, draining=draining)
        left = told.filter(~ripe).with_columns((pl.col("counts") + 1).alias(DUE)).select(_WAITING.schema.names())
        quality = [self._counted(unmatched.select(at="counts"), "label", "unmatched")]
        once = ["transaction_id", "event_time"] if self.lines else list(ORDER)
        copies = rows.join(fresh.select(once), on=once, how="anti", nulls_equal=True)
        quality.append(self._counted(copies.select(at=millis()), "duplicate", "transaction_id"))
        outputs = {"transactions": fresh.select(TRANSACTION_SCHEMA.names()), "marks": marks}
        outputs["quality"] = book(pl.concat(quality), self.window, clock.watermark)
        changes = {"transactions": after, "pending": pending, "waiting": left}
        return Step(outputs, {name: Change(keys, frame) for name, frame in changes.items()})

    def _registered(self, fresh: pl.DataFrame) -> pl.DataFrame:
        new = fresh.with_columns(
            at=millis(),
            label=pl.lit(None, pl.Int64),
            rank=pl.lit(_NOTHING, pl.Int64),
            ends=millis() + 2 * self.horizon + self.wait,
        )
        return new.with_columns((pl.col("at") + self.horizon + 1).alias(DUE)).select(_KNOWN.schema.names())

    def _judged(
        self, known: pl.DataFrame, told: pl.DataFrame, until: int, *, draining: bool
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Marks, transactions after them, and labels that no transaction takes."""
        bare = known.rename({"label": "_label", "rank": "_rank"})
        met = told.join(bare, on="transaction_id", how="left")
        fits = pl.col("at").is_not_null() & (pl.col("counts") >= pl.col("at"))
        fits = (fits & (pl.col("counts") < pl.col("ends"))).fill_null(value=False)
        silent = bare.filter(pl.col("_rank") == _NOTHING, pl.col("at") + self.horizon < until)
        silent = silent.clear() if draining else silent
        silence = {"label": pl.lit(0, pl.Int64), "rank": pl.lit(_SILENCE, pl.Int64)}
        silent = silent.with_columns(counts=pl.col("at") + self.horizon, **silence)
        line = pl.concat([met.filter(fits), silent.select(met.columns)])
        line = line.sort("transaction_id", "counts", "rank", "label")
        best = pl.max_horizontal("_rank", pl.col("rank").cum_max().shift().over("transaction_id"))
        line = line.filter(pl.col("rank") >= best)
        before = pl.coalesce(pl.col("label").shift().over("transaction_id"), "_label")
        line = line.with_columns(
            known=before.is_null().cast(pl.Int64), frauds=pl.col("label") - before.fill_null(0)
        )  # fmt: skip
        last = line.group_by("transaction_id").agg(pl.col("label").last(), pl.col("rank").max())
        after = known.update(last, on="transaction_id")
        due = pl.when(pl.col("rank") == _NOTHING).then(pl.col("at") + self.horizon + 1)
        after = after.with_columns(due.otherwise(None).alias(DUE)).select(_KNOWN.schema.names())
        news = line.filter((pl.col("known") != 0) | (pl.col("frauds") != 0))
        return _marks(news), after, met.filter(~fits)

    def _counted(self, rows: pl.DataFrame, check: str, subject: str) -> pl.DataFrame:
        start = (pl.col("at") // self.window * self.window).cast(TIME)
        counted = rows.group_by(window_start=start).agg(count=pl.len().cast(pl.Int64))
        told = counted.with_columns(check=pl.lit(check), subject=pl.lit(subject), rows=pl.col("count"))
        return told.select(PARTIAL_SCHEMA.names()).sort("window_start")


def _marks(rows: pl.DataFrame) -> pl.DataFrame:
    found = rows.with_columns(event_time=pl.col("counts").cast(TIME))
    return conform(found, MARKED_SCHEMA).sort("event_time", "transaction_id")
