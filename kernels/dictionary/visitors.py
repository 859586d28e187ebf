"""Tables of what visitors do."""

from typing import Final

from ecompulse.kernels.dictionary.column import About, Column
from ecompulse.kernels.enrich.channels import CHANNELS
from ecompulse.kernels.sessions.report import DRAIN, GAP, MAX_LENGTH
from ecompulse.kernels.sessions.schemas import COUNTED, STAGES

_VISITOR: Final = Column(
    "the latest user known on the device at or before the event, else its `user_id`, else its `anonymous_id`",
    example="u-1042",
)
_BASE: Final = "base currency"
_COUNT: Final = "events"

SESSIONS: Final = About(
    "one visit of a visitor: events without a silence of `--session_gap`",
    {
        "visitor": _VISITOR,
        "session_start": Column("time of the first event", "UTC"),
        "session_end": Column("time of the last event", "UTC"),
        "duration_ms": Column("from the first event to the last", "ms", example="184000"),
        "events": Column("events of any type", _COUNT),
        **{name: Column(f"events of type `{kind}`", _COUNT) for name, kind in COUNTED.items()},
        "orders": Column("distinct `order_id` bought", "orders"),
        "revenue_base": Column(
            "of what was bought, price by quantity (1 if unknown), without discounts; a line's `amount` comes first; "
            "null if something was bought and no line had either with a rate",
            _BASE,
            example="59.9000",
        ),
        "products": Column("distinct products looked at or handled", "products"),
        "entry_url": Column("first known URL of its events, of whatever type"),
        "exit_url": Column("last known URL of its events, of whatever type"),
        "channel": Column("channel that brought the visitor", values=CHANNELS),
        "device": Column("class of the device", values=("desktop", "mobile", "tablet", "bot", "other")),
        "country": Column("country of the address, ISO 3166-1 alpha-2", example="DE"),
        "bounced": Column("one page or product view and nothing else"),
        "converted": Column("whether something was bought"),
        "furthest_stage": Column("last stage of the way to a purchase that was reached; null for none", values=STAGES),
        "close_reason": Column("why it ended; null while it is open", values=(GAP, MAX_LENGTH, DRAIN)),
    },
    "A session comes once, when it is closed; with `--session_updates` open ones come before, with `final` false.",
)

SESSION_EVENTS: Final = About(
    "one event and the session that it belongs to",
    {
        "event_id": Column("the event"),
        "session": Column("`id` of its session in `sessions`"),
        "sequence": Column("place of the event in its session, from 1", example="3"),
        "event_time": Column("when it happened", "UTC"),
    },
)

FUNNELS: Final = About(
    "one stage of a funnel, by window, mode, scope and segment",
    {
        "funnel": Column("name of the funnel", example="default"),
        "mode": Column("`open`: anything may lie between stages; `strict`: nothing", values=("open", "strict")),
        "scope": Column("within a session, or per visitor over the window", values=("session", "visitor")),
        "window_start": Column("begin of the window in which the first stage was entered", "UTC"),
        "window_end": Column("end of that window", "UTC"),
        "segment": Column("`all`, or a dimension and its value", example="device=mobile"),
        "stage": Column("name of the stage", example="cart"),
        "stage_index": Column("place of the stage, from 0", example="1"),
        "entered": Column("walks that reached the stage", "walks"),
        "converted_from_previous": Column("walks that reached it from the stage before", "walks"),
        "conversion_rate": Column(
            "share of the walks of the stage before; null for the first", "0 to 1", example="0.31"
        ),
        "p50_ms": Column("median time from the stage before, within 0.2 %", "ms"),
        "p90_ms": Column("90th percentile of the time from the stage before, within 0.2 %", "ms"),
    },
    "A window's rows come once no walk that began in it can go on, and again with a higher `revision` for late ones.",
)

ABANDONMENT_ALERTS: Final = About(
    "one cart or checkout that was left",
    {
        "visitor": _VISITOR,
        "user_id": Column("signed-in user, to write to; null if nobody was signed in"),
        "anonymous_id": Column("the device's or browser's own id"),
        "kind": Column("what was left", values=("cart", "checkout")),
        "status": Column("`recovered` once it was bought after all", values=("open", "recovered")),
        "value_base": Column("what the cart was worth; null without a price", _BASE, example="120.5000"),
        "lines": Column("the cart: product, quantity, unit price in the base currency"),
        "abandoned_at": Column("last cart event + `--abandon_after`", "UTC"),
        "detected_at": Column("when the job found out, by its clock; provenance", "UTC"),
        "recovered_at": Column("time of the purchase that recovered it; null until then", "UTC"),
        "order_id": Column("order that recovered it; null until then"),
    },
    "An alert comes `open`, and once more, with `revision` 2 and status `recovered`, if it is bought within a week.",
)

PAGE_TRANSITIONS: Final = About(
    "one step from page to page, by window",
    {
        "window_start": Column("begin of the window of the later view", "UTC"),
        "window_end": Column("end of the window", "UTC"),
        "from_page": Column("path of the page before", example="/c/shoes"),
        "to_page": Column("path of the page after", example="/p/4711"),
        "count": Column("how often it was taken", "steps"),
    },
    "A row comes when its window closes, and again with a higher `revision` for rows that come late.",
)
