"""Interval join: purchase lines meet the payment of their order, within a bound of event time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import polars as pl

from ecompulse.kernels.event import FRAME_SCHEMA, ORDER
from ecompulse.kernels.rows import DUE, check_columns, check_duration, millis, reference
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

MATCHED: Final = "matched"
UNMATCHED_PURCHASE: Final = "unmatched_purchase"
UNMATCHED_PAYMENT: Final = "unmatched_payment"
NO_ORDER_ID: Final = "no_order_id"
NOT_APPLICABLE: Final = "not_applicable"

RANKING: Final = ("captured", "refunded", "authorized", "failed")
"""Payment statuses, best first: money that moved tells more than a promise, a promise more than a refusal."""

ATTACHED: Final = (
    ("payment_id", "payment_id"),
    ("payment_status", "payment_status"),
    ("payment_method", "payment_method"),
    ("payment_amount", "amount"),
    ("payment_currency", "currency"),
    ("payment_time", "event_time"),
)
"""Output columns and the payment's column that each shows."""

NEEDED: Final = ("event_type", "order_id", *ORDER, *dict.fromkeys(source for _, source in ATTACHED))

_OUT: Final = "_out"  # Boolean column: the row has come out and is kept for the rows it may match
_NO_ORDER: Final = "\x1f"
_PAYMENT: Final = pl.col("event_type") == "payment"
_PAIRED: Final = pl.col("event_type").is_in(["purchase", "payment"]).fill_null(value=False)


@dataclass(frozen=True)
class MatchPayments:
    """Joins `purchase` lines and `payment`s of one `order_id` that lie at most `bound` apart.

    A line shows one payment, a payment may serve many lines. Of several payments (retries) within the bound
    the one with the best status wins, by `RANKING` (unknown statuses last), then the latest by
    `event.ORDER`. A payment is `matched` if any line lies within the bound, even
    if another payment was the better one. What meets nobody comes out as `unmatched_purchase` or
    `unmatched_payment`; without `order_id` as `no_order_id`; any other event type as `not_applicable`.

    When: a line or payment comes out once watermark > event_time + `bound`, when all that it could meet has
    been read, whichever side came first: the same for any cut, order and sharding within the delay. All
    other rows come out at once. Late rows take part while `event_time + bound` is not passed; after that
    they come out at once, matched with what is still kept. Nothing is lost, nothing comes out twice.

    Keying: `order_id`. State: `orders`, the rows that wait and, while others of their order do, those that
    are out; a row costs its carried columns, its order id and 9 bytes. The last row of an
    order to come out takes all of it along, once the watermark is `bound` past it. Draining lets all out.

    Attributes:
        columns: what is carried through; at least `NEEDED`.
        bound: ms of event time, inclusive; 15 minutes.
        name: of the operator.

    Output: `matched`, `columns` and `ATTACHED`, then `match_status`. On a matched line the attached columns
    show the payment; on payments their own values; else the row's own column of that name, or null.
    """

    columns: pl.Schema = field(default_factory=lambda: FRAME_SCHEMA)
    bound: int = 15 * 60_000
    name: str = "interval_join"
    version: int = field(default=1, init=False)
    holds: ClassVar = 0

    def __post_init__(self) -> None:
        check_columns(self.name, self.columns, NEEDED)
        check_duration(self.name, "bound", self.bound)

    @property
    def _orders(self) -> Table:
        schema = pl.Schema({**self.columns, _OUT: pl.Boolean(), DUE: pl.Int64()})
        return Table(name="orders", schema=schema, key="order_id", due=DUE)

    @property
    def tables(self) -> Sequence[Table]:
        """`orders`: lines and payments by order."""
        return (self._orders,)

    @property
    def inputs(self) -> pl.Schema:
        """What is carried through."""
        return self.columns

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Rows with their payment and how they were matched."""
        attached = {name: self.columns[source] for name, source in ATTACHED}
        return {"matched": pl.Schema({**self.columns, **attached, "match_status": pl.String()})}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The order; rows without one are spread by position."""
        return batch.select(key=pl.coalesce("order_id", _NO_ORDER + reference())).to_series()

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Let out what the watermark has passed, keep the rest."""
        rows = batch.select(self.columns.names())
        joined = _PAIRED & pl.col("order_id").is_not_null()
        new = rows.filter(joined).with_columns(pl.lit(value=False).alias(_OUT))
        keys = pl.concat([new["order_id"], state.due("orders", clock.watermark)["order_id"]]).unique()
        known = state.lookup("orders", keys).drop(DUE)
        orders = pl.concat([known, new]).sort(ORDER).with_columns(_at=millis())
        ripe = ~pl.col(_OUT) & (pl.col("_at") + self.bound < clock.watermark)
        orders = orders.with_columns(ripe.alias("_ripe"))
        found = [self._aside(rows.filter(~joined)), self._lines(orders), self._payments(orders)]
        kept = self._kept(orders, clock)
        matched = pl.concat(found).sort(ORDER)
        waiting = [rows.filter(~pl.col(_OUT)).height for rows in (kept, known)]
        balance = {"matched": matched.height, "held": waiting[0] - waiting[1]}
        return Step({"matched": matched}, {"orders": Change(keys, kept)}, balance)

    def _aside(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows that can meet nothing."""
        status = pl.when(_PAIRED).then(pl.lit(NO_ORDER_ID)).otherwise(pl.lit(NOT_APPLICABLE))
        return self._shown(rows.with_columns(match_status=status), _PAYMENT, dict(ATTACHED))

    def _lines(self, orders: pl.DataFrame) -> pl.DataFrame:
        """Ripe lines, each with its best payment: rank by rank, so that no order costs lines x payments."""
        shown = {name: f"_{name}" for name, _ in ATTACHED}
        best = pl.col("payment_status").replace_strict(
            RANKING, range(len(RANKING)), default=len(RANKING), return_dtype=pl.Int64
        )
        columns = [pl.col(source).alias(shown[name]) for name, source in ATTACHED]
        payments = orders.filter(_PAYMENT).select("order_id", "_at", *columns, _rank=best)
        paid = pl.col("_payment_time").is_not_null()
        unpaid, done = orders.filter(~_PAYMENT, "_ripe"), []
        for rank in (*payments["_rank"].unique().sort(), len(RANKING)):
            met = self._nearest(unpaid, payments.filter(pl.col("_rank") == rank).drop("_rank"))
            done.append(met.filter(paid))
            unpaid = met.filter(~paid).select(unpaid.columns)
        lines = pl.concat([*done, met.filter(~paid)])
        status = pl.when(paid).then(pl.lit(MATCHED)).otherwise(pl.lit(UNMATCHED_PURCHASE))
        return self._shown(lines.with_columns(match_status=status), paid, shown)

    def _payments(self, orders: pl.DataFrame) -> pl.DataFrame:
        """Ripe payments, marked by whether any line is within reach."""
        lines = orders.filter(~_PAYMENT).select("order_id", "_at", _line="_at")
        met = self._nearest(orders.filter(_PAYMENT, "_ripe"), lines)
        used = pl.when(pl.col("_line").is_not_null()).then(pl.lit(MATCHED))
        status = used.otherwise(pl.lit(UNMATCHED_PAYMENT))
        return self._shown(met.with_columns(match_status=status), _PAYMENT, dict(ATTACHED))

    def _nearest(self, rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
        """The latest of `others` of the same order within the bound; both sorted by the total order."""
        latest = others.unique(["order_id", "_at"], keep="last", maintain_order=True)
        return rows.with_columns(_reach=pl.col("_at") + self.bound).join_asof(
            latest,
            left_on="_reach",
            right_on="_at",
            by="order_id",
            strategy="backward",
            tolerance=2 * self.bound,
            check_sortedness=False,
        )

    def _shown(self, rows: pl.DataFrame, told: pl.Expr, values: Mapping[str, str]) -> pl.DataFrame:
        """Rows in the shape of the output: `values` where `told`, else their own."""
        attached = []
        for name, source in ATTACHED:
            own = pl.col(name) if name in self.columns else None
            dtype = self.columns[source]
            attached.append(pl.when(told).then(pl.col(values[name])).otherwise(own).cast(dtype).alias(name))
        return rows.with_columns(attached).select(self.outputs["matched"].names())

    def _kept(self, orders: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """Rows that wait, and those out that a waiting one of their order may still meet."""
        out = pl.col(_OUT) | pl.col("_ripe")
        waiting = orders.filter(~out)["order_id"].unique()
        near = pl.col("_at") + 2 * self.bound >= clock.watermark
        kept = orders.filter(~out | near, pl.col("order_id").is_in(waiting.implode()))
        due = pl.when(~out).then(pl.col("_at") + self.bound + 1).otherwise(None)
        return kept.with_columns(due.alias(DUE), out.alias(_OUT)).select(self._orders.schema.names())
