"""What is in each visitor's cart after each event, and when a cart is left alone."""

from typing import Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.event import MONEY
from ecompulse.kernels.rows import line_amount, no_rows
from ecompulse.kernels.segments import ever, latest, running

MAX_LINES: Final = 1_000
"""Lines of a cart; one that ever held more is a machine's, and is followed without its content."""

_MOST_PIECES: Final = 10**12  # of a line: sums of more could leave 64 bits

LINE: Final = pl.Struct({"product": pl.String(), "quantity": pl.Int64(), "price": MONEY})

CART_SCHEMA: Final = pl.Schema(
    {
        "visitor": pl.String(),
        "at": pl.Int64(),
        "lines": pl.List(LINE),
        "checkout": pl.Boolean(),
        "overfull": pl.Boolean(),
        "alerted": pl.Boolean(),
        "user_id": pl.String(),
        "anonymous_id": pl.String(),
        "due": pl.Int64(),
    }
)
"""A cart after its last event `at` (ms). `alerted`: its abandonment is out, and its content waits for more."""

CART_TYPES: Final = ("add_to_cart", "remove_from_cart", "checkout_start", "purchase")

_KIND: Final = pl.col("kind")
_HELD_LINE: Final = "held_line"
_HELD: Final = "held"
_CHANGES: Final = ("add_to_cart", "remove_from_cart", _HELD_LINE)

_EVENT_SCHEMA: Final = pl.Schema(
    {
        "visitor": pl.String(),
        "at": pl.Int64(),
        "kind": pl.String(),
        "product": pl.String(),
        "quantity": pl.Int64(),
        "price": MONEY,
        "checkout": pl.Boolean(),
        "overfull": pl.Boolean(),
        "alerted": pl.Boolean(),
        "user_id": pl.String(),
        "anonymous_id": pl.String(),
        "order_id": pl.String(),
        "seq": pl.Int64(),
    }
)


def cart_events(rows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Cart events of sorted rows, preceded by what state holds of their visitors' carts, in order."""
    lines = held.select("visitor", "at", pl.col("lines")).explode("lines").drop_nulls("lines").unnest("lines")
    lines = lines.with_columns(kind=pl.lit(_HELD_LINE), seq=pl.lit(-2, pl.Int64))
    carts = held.drop("lines", "due").with_columns(kind=pl.lit(_HELD), seq=pl.lit(-1, pl.Int64))
    events = rows.with_row_index("seq").filter(pl.col("event_type").is_in(CART_TYPES))
    events = events.select(
        "visitor",
        "user_id",
        "anonymous_id",
        "order_id",
        at="_at",
        kind="event_type",
        product="product_id",
        quantity=pl.col("quantity").fill_null(1).clip(0, _MOST_PIECES),
        price="price_base",
        checkout=pl.col("event_type") == "checkout_start",
        seq=pl.col("seq").cast(pl.Int64),
    )
    empty = no_rows(_EVENT_SCHEMA)
    return pl.concat([empty, lines, carts, events], how="diagonal").sort("visitor", "seq", "product")


def follow_carts(events: pl.DataFrame, after: int, keep: int, watermark: int) -> pl.DataFrame:
    """Adds to each event what its visitor's cart is after it.

    Returns:
        `events` with `_who` and `_span` (a cart's life, to a purchase or `keep` ms of silence), `_episode` (a
        part of it, to an abandonment or emptiness), `_held` (quantity of the event's line after it), `_price`
        (its last known unit price), `_overfull`, `_active` (there is something to abandon), `_checkout` (it
        was begun in this episode), `_abandoned` (nothing else happened for `after` ms), `_last` (of its visitor).
    """
    head = pl.col("visitor").ne_missing(pl.col("visitor").shift(1))
    tail = pl.col("visitor").ne_missing(pl.col("visitor").shift(-1))
    stale = pl.col("at") - pl.col("at").shift(1) >= keep
    ends = (_KIND == "purchase").shift(1)
    events = events.with_columns(_who=head.cum_sum(), _last=tail, _new_span=(head | stale | ends).fill_null(value=True))
    events = events.with_columns(_span=pl.col("_new_span").cum_sum())
    events = _content(events)
    gone = pl.when(tail).then(watermark - pl.col("at")).otherwise(pl.col("at").shift(-1) - pl.col("at")) >= after
    done = pl.col("alerted").fill_null(value=False)
    events = events.with_columns(_abandoned=pl.col("_active") & gone & ~done)
    over = (~pl.col("_active") | pl.col("_abandoned") | done).shift(1).fill_null(value=True)
    begun = pl.col("checkout").fill_null(value=False) & ~done
    empty = ~pl.col("_active").shift(1).fill_null(value=False)
    # What state drops with an empty cart must not be known here either.
    life = pl.col("_new_span") | empty
    return events.with_columns(
        latest(pl.col("user_id"), life).alias("user_id"),
        latest(pl.col("anonymous_id"), life).alias("anonymous_id"),
        _episode=(pl.col("_new_span") | over).cum_sum(),
        _checkout=ever(begun, pl.col("_new_span") | over),
    ).drop("_new_span")


def _content(events: pl.DataFrame) -> pl.DataFrame:
    """Quantities and prices of lines; whether a cart is overfull, and whether there is anything to abandon."""
    events = events.with_row_index("_row")
    changes = _lines(events.filter(_KIND.is_in(_CHANGES)))
    events = events.join(changes, on="_row", how="left", maintain_order="left")
    lines = running(pl.col("_more").fill_null(0), pl.col("_new_span"))
    full = (lines > MAX_LINES) | pl.col("overfull").fill_null(value=False)
    filled = (lines > 0) | pl.col("_overfull") | _KIND.is_in(["checkout_start", _HELD])
    return (
        events.with_columns(_overfull=ever(full, pl.col("_new_span")))
        .with_columns(_active=filled & (_KIND != "purchase"))
        .drop("_row", "_more")
    )


def _lines(changes: pl.DataFrame) -> pl.DataFrame:
    """Per change, by `_row`: `_held` of its line, `_price`, and `_more` (1 a line more, -1 one less, or 0)."""
    # In the order of hashes, not of texts: only equal products need to stand together.
    product: pl.Expr = pl.col("product").nchash.xxh3_64(seed=0)  # type: ignore[attr-defined]
    changes = changes.with_columns(_product=product).sort("_span", "_product", "_row")
    begins = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ("_span", "_product"))
    delta = pl.when(_KIND == "remove_from_cart").then(-pl.col("quantity")).otherwise("quantity")
    changes = changes.with_columns(_begins=begins, _delta=delta)
    changes = changes.with_columns(
        _held=running(pl.col("_delta"), pl.col("_begins")), _line=pl.col("_begins").cum_sum()
    )
    changes = _floored(changes)
    before = pl.when("_begins").then(0).otherwise(pl.col("_held").shift(1))
    there, was_there = (pl.col("_held") > 0).cast(pl.Int64), (before > 0).cast(pl.Int64)
    price = pl.when(_KIND != "remove_from_cart").then("price")
    return changes.select("_row", "_held", _price=latest(price, before == 0), _more=there - was_there)


def _floored(changes: pl.DataFrame) -> pl.DataFrame:
    """`_held` never below nothing: a removal too many is forgotten."""
    removed = changes.filter(_KIND == "remove_from_cart")["_line"].unique()
    concerned = pl.col("_line").is_in(removed.implode())
    # x_n = max(0, x_n-1 + d_n) is the running sum less its running minimum, where that is negative.
    lowest = pl.col("_held").cum_min().over("_line").clip(upper_bound=0)
    some = changes.filter(concerned).with_columns(_held=pl.col("_held") - lowest)
    return pl.concat([changes.filter(~concerned), some]).sort("_line", "_row")


def contents(events: pl.DataFrame, wanted: pl.Expr) -> pl.DataFrame:
    """Lines of the carts after some events: `seq` and `_who` of the event, `lines` (by product), `value`.

    `value` is null if no line has a known price; the lines of an overfull cart are unknown.
    """
    carts = events.filter(wanted).select("_who", "seq", "_span", "_overfull", _upto="_episode")
    # Of all changes of a line in one episode only the last can still be in a cart at its end.
    last = (
        events.filter(pl.col("_held").is_not_null())
        .group_by("_span", "_episode", "product", maintain_order=True)
        .agg(pl.col("_held", "_price", "seq").last())
        .rename({"seq": "_changed"})
    )
    met = carts.filter(~pl.col("_overfull")).join(last, on="_span")
    met = met.filter(pl.col("_episode") <= pl.col("_upto")).sort("_who", "seq", "product", "_episode")
    met = met.group_by("_who", "seq", "product", maintain_order=True).agg(pl.col("_held", "_price").last())
    line = pl.struct(product="product", quantity="_held", price="_price")
    worth = line_amount(pl.col("_price"), pl.col("_held")).drop_nulls()
    value = pl.when(worth.len() > 0).then(worth.sum().cast(MONEY, strict=False))
    full = met.filter(pl.col("_held") > 0).group_by("_who", "seq").agg(line.alias("lines"), value.alias("value"))
    shown = carts.select("_who", "seq").join(full, on=["_who", "seq"], how="left")
    return shown.with_columns(pl.col("lines").cast(pl.List(LINE)).fill_null([]), pl.col("value").cast(MONEY))
