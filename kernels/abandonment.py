"""Carts and checkouts that are left, told once, and told again when they are bought after all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from ecompulse.kernels.abandonment_carts import CART_SCHEMA, CART_TYPES, LINE, cart_events, contents, follow_carts
from ecompulse.kernels.event import MONEY, TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import no_rows
from ecompulse.kernels.sessions.journey import Journey
from ecompulse.kernels.sessions.schemas import CONTACT_SCHEMA
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

CARTS: Final = "carts"
ALERTS: Final = "alerts"

ALERT_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "visitor": pl.String(),
        "user_id": pl.String(),
        "anonymous_id": pl.String(),
        "kind": pl.String(),
        "status": pl.String(),
        "value_base": MONEY,
        "lines": pl.List(LINE),
        "abandoned_at": TIME,
        "detected_at": TIME,
        "recovered_at": TIME,
        "order_id": pl.String(),
        "revision": pl.Int64(),
    }
)

_KEPT_SCHEMA: Final = pl.Schema({**ALERT_SCHEMA, "due": pl.Int64()})


@dataclass(frozen=True)
class WatchCarts:
    """Alerts of abandoned carts and checkouts, from the visitor's cart events in order, across sessions.

    Cart events are `add_to_cart`, `remove_from_cart` and `checkout_start`; a null quantity is 1. A cart holds
    what was added less what was removed, per product, at its last known unit price (`price_base`). A `purchase`
    ends it, whatever lines were bought: an order is made of a cart. An emptied cart is none. A checkout
    without a known cart counts, with no lines.

    A cart is abandoned when `after` has passed since its last cart event without a cart event or purchase (one
    exactly then comes too late); looking on does not delay it. Kind `checkout` if a checkout began since the cart
    did or was last abandoned, else `cart`. One alert per abandonment: a visitor who comes back and puts
    something in, and leaves again, gives another, with the whole content. A purchase within `recover` of
    `abandoned_at` marks every open alert of the visitor as recovered: the same id, revision 2.

    When: an alert leaves once the watermark has passed `abandoned_at`, so a purchase in time that comes
    late within the delay still prevents it. Alert and recovery both leave even if one step finds both, so
    outputs do not depend on the cut. `detected_at` (processing time) is outside of that. Draining alerts for
    carts whose time the input did not reach.

    State: `carts`, one row per visitor with a cart, until bought, emptied, or left for `recover`, when the
    content is forgotten; at most 1,000 lines, beyond which a cart is followed without its content. `alerts`:
    open ones, by visitor, until recovered or older than `recover`.

    Attributes:
        after: ms of silence; may be shorter than the session gap.
        recover: ms.
    """

    after: int = 30 * 60_000
    recover: int = 7 * 24 * 3_600_000

    def __post_init__(self) -> None:
        if self.after < 1:
            raise ValueError(f"abandonment: after must be 1 ms or more, not {self.after}")
        if self.recover <= self.after:
            raise ValueError(f"abandonment: recover must be longer than after ({self.after}), not {self.recover}")

    @property
    def columns(self) -> pl.Schema:
        """Whom to write to."""
        return CONTACT_SCHEMA

    @property
    def tables(self) -> Sequence[Table]:
        """`carts` and `alerts`."""
        return (
            Table(name=CARTS, schema=CART_SCHEMA, key="visitor", due="due"),
            Table(name=ALERTS, schema=_KEPT_SCHEMA, key="visitor", due="due"),
        )

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Alerts."""
        return {"abandonment_alerts": ALERT_SCHEMA}

    def follow(self, state: StateView, journey: Journey, clock: Clock) -> Step:
        """Fill and empty carts, tell which were left, and which were bought after all."""
        of_carts = journey.rows.filter(pl.col("event_type").is_in(CART_TYPES))
        visitors = of_carts["visitor"]
        ripe = state.due(CARTS, clock.watermark)["visitor"]
        held = state.lookup(CARTS, pl.concat([visitors, ripe]).unique())
        lapsed = state.due(ALERTS, clock.watermark)["visitor"]
        if of_carts.is_empty() and held.is_empty() and lapsed.is_empty():
            return Step({"abandonment_alerts": no_rows(ALERT_SCHEMA)})
        events = cart_events(of_carts, held)
        events = follow_carts(events, self.after, self.recover, clock.watermark)
        buyers = of_carts.filter(pl.col("event_type") == "purchase")["visitor"]
        waiting = state.lookup(ALERTS, pl.concat([buyers, lapsed]).unique())
        fresh = self._alerts(events, clock)
        told, open_alerts = self._recovered(events, waiting, fresh, clock)
        carts = self._carts(events, clock)
        # An alert that joins others of its visitor must not replace them.
        added = open_alerts["visitor"].unique()
        others = state.lookup(ALERTS, added.filter(~added.is_in(waiting["visitor"].implode())))
        alerts = pl.concat([open_alerts, others])
        changes = {
            CARTS: Change(pl.concat([held["visitor"], carts["visitor"]]).unique(), carts),
            ALERTS: Change(pl.concat([waiting["visitor"], alerts["visitor"]]).unique(), alerts),
        }
        return Step({"abandonment_alerts": told}, changes)

    def _alerts(self, events: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """New alerts (ALERT_SCHEMA), with `_next`: the visitor's next purchase among the events."""
        position = pl.int_range(pl.len(), dtype=pl.Int64)
        following = pl.when(pl.col("kind") == "purchase").then(position).backward_fill()
        left = events.with_columns(_next=following).filter("_abandoned")
        left = left.join(contents(events, pl.col("_abandoned")), on=["_who", "seq"], how="left", maintain_order="left")
        abandoned = pl.col("at") + self.after
        return left.with_columns(
            id=row_id("visitor", abandoned),
            kind=pl.when("_checkout").then(pl.lit("checkout")).otherwise(pl.lit("cart")),
            status=pl.lit("open"),
            value_base="value",
            abandoned_at=abandoned.cast(TIME),
            detected_at=pl.lit(clock.now).cast(TIME),
            recovered_at=pl.lit(None, TIME),
            order_id=pl.lit(None, pl.String),
            revision=pl.lit(1, pl.Int64),
        ).select(*ALERT_SCHEMA.names(), "_next")

    def _recovered(
        self, events: pl.DataFrame, waiting: pl.DataFrame, fresh: pl.DataFrame, clock: Clock
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Alerts to tell, and those that stay open (_KEPT_SCHEMA)."""
        bought = events.with_row_index("_next").filter(pl.col("kind") == "purchase")
        bought = bought.select(
            "visitor", pl.col("_next").cast(pl.Int64), _when=pl.col("at").cast(TIME), _order="order_id"
        )
        first = bought.unique("visitor", keep="first", maintain_order=True).select("visitor", "_next")
        pool = pl.concat([waiting.drop("due").join(first, on="visitor", how="left"), fresh]).join(
            bought, on=["visitor", "_next"], how="left"
        )
        until = pl.col("abandoned_at") + pl.duration(milliseconds=self.recover)
        back = (pl.col("_when") < until).fill_null(value=False)
        recovered = pool.filter(back).with_columns(
            status=pl.lit("recovered"), recovered_at="_when", order_id="_order", revision=pl.lit(2, pl.Int64)
        )
        columns = ALERT_SCHEMA.names()
        told = pl.concat([fresh.select(columns), recovered.select(columns)])
        lapse = until.dt.epoch("ms")
        hopeless = pl.col("_when").is_not_null()
        # Draining ends waiting for more events, it does not age what is remembered.
        current = pl.lit(value=clock.watermark >= END_OF_TIME) | (lapse > clock.watermark)
        kept = pool.filter(~back, ~hopeless, current).with_columns(due=lapse).select(_KEPT_SCHEMA.names())
        return told.sort("visitor", "abandoned_at", "revision"), kept

    def _carts(self, events: pl.DataFrame, clock: Clock) -> pl.DataFrame:
        """Carts that stay (CART_SCHEMA)."""
        draining = pl.lit(value=clock.watermark >= END_OF_TIME)
        lapse = pl.col("at") + self.recover
        stays = pl.col("_last") & pl.col("_active") & (draining | (lapse > clock.watermark))
        alerted = pl.col("_abandoned") | pl.col("alerted").fill_null(value=False)
        carts = events.filter(stays).join(
            contents(events, stays).select("_who", "seq", "lines"), on=["_who", "seq"], how="left"
        )
        return carts.with_columns(
            checkout="_checkout",
            overfull="_overfull",
            alerted=alerted,
            due=pl.when(alerted).then(lapse).otherwise(pl.col("at") + self.after),
        ).select(CART_SCHEMA.names())
