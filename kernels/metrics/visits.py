"""Beginnings that no single event shows: of a visit, and of a cart, with what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import check_duration, millis
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

SESSION_START: Final = "session_start"
CART: Final = "cart"

VISIT_SCHEMA: Final = pl.Schema({"visitor": pl.String(), "event_time": TIME, "event_type": pl.String()})
MARK_SCHEMA: Final = pl.Schema(
    {
        "event_id": pl.String(),
        "event_type": pl.String(),
        "event_time": TIME,
        "visitor": pl.String(),
        "properties": pl.String(),
    }
)
"""`session_start` at the first event of a visit; `cart` at its first product, with properties.bought (true, false)."""

_OTHER, _ADD, _BUY = 0, 1, 2
_BACK_OFFICE: Final = ("payment", "refund")
_FOLLOWED: Final = Table(
    "followed",
    pl.Schema(
        {
            "visitor": pl.String(),
            "moment": pl.Int64(),
            "kind": pl.Int8(),
            "told": pl.Boolean(),
            "judged": pl.Boolean(),
            "due": pl.Int64(),
            "expires": pl.Int64(),
        }
    ),
    key="visitor",
    due="due",
    expires="expires",
)


@dataclass(frozen=True)
class FollowVisits:
    """Marks where visits and carts begin; the marks are counted as events by metrics.

    A visit begins with an event of a visitor that comes `gap` or more after the one before, as a session does; payments
    and refunds are no visits. A cart begins with an add_to_cart when no other came within `horizon` before it, or a
    purchase came in between; it was bought if a purchase follows within `horizon` of its beginning (one at the same ms
    follows).

    When: a visit once the watermark has passed its first event, a cart once it has passed the beginning and
    `horizon`: a metric of carts needs a `lag` of at least the horizon. So marks depend on the events alone. Late
    events count for what is not yet marked; a mark is never taken back.

    Keying: visitor. State: `followed`, per visitor the last event, cart events and purchases of twice the horizon, and
    what the watermark has not passed; 40 bytes each.

    Attributes:
        gap: ms; of sessions.
        horizon: ms.
        name: of the operator.

    Output: `marks`.
    """

    gap: int = 30 * 60_000
    horizon: int = 60 * 60_000
    name: str = "visits"
    version: int = field(default=1, init=False)
    holds: ClassVar = 0

    def __post_init__(self) -> None:
        check_duration(self.name, "gap", self.gap)
        check_duration(self.name, "horizon", self.horizon)

    @property
    def inputs(self) -> pl.Schema:
        """What is looked at."""
        return VISIT_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """`followed`, by visitor."""
        return (_FOLLOWED,)

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Marks."""
        return {"marks": MARK_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The visitor."""
        return batch["visitor"]

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Mark what the watermark has passed."""
        visits = batch.filter(~pl.col("event_type").is_in(_BACK_OFFICE).fill_null(value=False))
        kind = pl.col("event_type").replace_strict(
            {"add_to_cart": _ADD, "purchase": _BUY}, default=_OTHER, return_dtype=pl.Int8
        )
        new = pl.lit(value=False)
        columns = ("visitor", "moment", "kind", "told", "judged")
        fresh = visits.select("visitor", moment=millis(), kind=kind, told=new, judged=new)
        ripe = state.due(_FOLLOWED.name, clock.watermark)["visitor"]
        visitors = pl.concat([fresh["visitor"], ripe]).unique()
        rows = pl.concat([state.lookup(_FOLLOWED.name, visitors).select(columns), fresh])
        rows = self._begun(rows.sort("visitor", "moment", "kind", "told", "judged"))
        passed = (pl.col("moment") < clock.watermark) & ~pl.col("told")
        sure = pl.col("cart") & (pl.col("moment") + self.horizon < clock.watermark) & ~pl.col("judged")
        marks = pl.concat([
            _marks(rows.filter(passed & pl.col("visit")), SESSION_START, pl.lit(None, pl.String)),
            _marks(rows.filter(sure), CART, pl.concat_str(pl.lit('{"bought":'), "bought", pl.lit("}"))),
        ])  # fmt: skip
        # What does not begin a cart once it is told never will, though what shows that be forgotten.
        rows = rows.with_columns(
            told=pl.col("told") | passed, judged=pl.col("judged") | sure | (passed & ~pl.col("cart"))
        )
        marks = marks.unique("event_id", keep="first", maintain_order=True).sort("event_time", "event_id")
        return Step({"marks": marks}, {_FOLLOWED.name: Change(visitors, self._kept(rows, clock))})

    def _begun(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Sorted rows with `visit` and `cart` (they begin one), and `bought`.

        A bout is what lies between two purchases of a visitor. No `over`: the rows are sorted, so that a neighbour
        tells as much, for a fifth of the time.
        """
        adds, buys, moment = pl.col("kind") == _ADD, pl.col("kind") == _BUY, pl.col("moment")
        rows = rows.with_columns(head=(pl.col("visitor") != pl.col("visitor").shift(1)).fill_null(value=True))
        rows = rows.with_columns(
            person=pl.col("head").cum_sum(), bout=(pl.col("head") | buys.shift(1, fill_value=False)).cum_sum()
        )
        before = pl.when(~pl.col("head")).then(moment.shift(1))
        last, of = (pl.when(adds).then(pl.col(name)).forward_fill().shift(1) for name in ("moment", "bout"))
        sale, buyer = (pl.when(buys).then(pl.col(name)).backward_fill() for name in ("moment", "person"))
        goes_on = (of == pl.col("bout")) & (moment - last <= self.horizon)
        bought = (buyer == pl.col("person")) & (sale - moment <= self.horizon)
        return rows.with_columns(
            visit=(moment - before >= self.gap).fill_null(value=True),
            cart=adds & ~goes_on.fill_null(value=False),
            bought=bought.fill_null(value=False),
        )

    def _kept(self, rows: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        other = (pl.col("visitor") != pl.col("visitor").shift(-1)).fill_null(value=True)
        # What comes next is measured from the last event that has been told.
        last = other | ~pl.col("told").shift(-1).fill_null(value=True)
        waiting = ~pl.col("told") | (pl.col("cart") & ~pl.col("judged"))
        kept = rows.filter(waiting | last | (pl.col("kind") != _OTHER))
        verdict = pl.when(pl.col("cart") & ~pl.col("judged")).then(pl.col("moment") + self.horizon + 1)
        due = pl.when(~pl.col("told")).then(pl.col("moment") + 1).otherwise(verdict)
        needless = pl.col("moment") + max(self.gap, 2 * self.horizon) + 1
        if clock.watermark < END_OF_TIME:
            kept = kept.filter(waiting | (needless > clock.watermark))
        # What is waiting is measured from the others, which must outlive any leap of the watermark with it.
        bound = waiting.any().over("visitor")
        kept = kept.with_columns(due=due, expires=pl.when(bound).then(END_OF_TIME).otherwise(needless))
        return kept.select(_FOLLOWED.schema.names())


def _marks(rows: pl.DataFrame, event_type: str, properties: pl.Expr) -> pl.DataFrame:
    return rows.select(
        row_id(pl.lit(event_type), "visitor", "moment").alias("event_id"),
        event_type=pl.lit(event_type),
        event_time=pl.col("moment").cast(TIME),
        visitor="visitor",
        properties=properties,
    )


def condensed(events: pl.DataFrame, gap: int) -> pl.DataFrame:
    """The events of a batch (VISIT_SCHEMA) that `FollowVisits` needs to see; marks are the same as of all.

    Of what a visitor did within half a gap only the first and the last can begin a visit or keep the next event from
    beginning one, unless they are about a cart.
    """
    told = events.select("visitor", "event_time", "event_type").filter(
        ~pl.col("event_type").is_in(_BACK_OFFICE).fill_null(value=False)
    )
    of_carts = pl.col("event_type").is_in(["add_to_cart", "purchase"]).fill_null(value=False)
    near = millis() // max(gap // 2, 1)
    ends = (
        told.filter(~of_carts)
        .group_by("visitor", near=near)
        .agg(first=pl.col("event_time").min(), last=pl.col("event_time").max())
    )
    firsts = ends.select("visitor", event_time="first", event_type=pl.lit("page_view"))
    lasts = ends.filter(pl.col("last") > pl.col("first"))
    lasts = lasts.select("visitor", event_time="last", event_type=pl.lit("page_view"))
    return pl.concat([told.filter(of_carts), firsts, lasts])


def as_events(marks: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Marks with the columns of a stream of events, null where a mark has none."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in marks.columns]
    return marks.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in schema.items())
