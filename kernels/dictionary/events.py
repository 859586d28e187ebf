"""Tables of events: the enriched ones, those that came too late, those that are none, and how many of each."""

from typing import Final

from ecompulse.kernels.decode.rules import Rule
from ecompulse.kernels.dictionary.column import About, Column
from ecompulse.kernels.enrich.channels import CHANNELS
from ecompulse.kernels.event import EVENT_TYPES, FIELDS, Kind

_MONEY_UNIT: Final = "`currency`"
_BASE: Final = "base currency"

_POSITION: Final = {
    "source": Column("file or topic that the row was read from", example="shop.events"),
    "source_partition": Column("number of the source, or Kafka's partition", example="0"),
    "source_offset": Column("position within the source: a byte of a file, an offset of Kafka, a row of a table"),
}

EVENT: Final = {
    **{
        field.name: Column(
            field.help,
            unit=_MONEY_UNIT if field.kind is Kind.MONEY else "UTC" if field.kind is Kind.TIME else "",
            values=field.values if field.values != EVENT_TYPES else (),
            example=field.example,
        )
        for field in FIELDS
    },
    **_POSITION,
}
"""The event's own fields, and where it was read."""

_GEO: Final = {
    "geo_country": Column("country of the address, ISO 3166-1 alpha-2", example="DE"),
    "geo_continent": Column("continent of the address, two letters", example="EU"),
    "geo_region": Column("first subdivision of the address, ISO 3166-2 without the country", example="BE"),
    "geo_city": Column("city of the address, in English", example="Berlin"),
    "geo_postal_code": Column("postal code of the address", example="10115"),
    "geo_latitude": Column("latitude of the address, as near as the database knows", "degrees", example="52.52"),
    "geo_longitude": Column("longitude of the address, as near as the database knows", "degrees", example="13.40"),
    "geo_time_zone": Column("IANA zone of the address", example="Europe/Berlin"),
    "geo_asn": Column("number of the network of the address", example="3320"),
    "geo_network_owner": Column("who runs the network of the address", example="Deutsche Telekom AG"),
}
_DEVICE: Final = {
    "device_class": Column(
        "class of the device, from the user agent", values=("desktop", "mobile", "tablet", "bot", "other")
    ),
    "device_browser": Column("browser's family", example="Firefox"),
    "device_browser_version": Column("browser's major version", example="128"),
    "device_os": Column("operating system's family", example="Android"),
    "device_os_version": Column("operating system's major version", example="14"),
}
_CAMPAIGN: Final = {
    "campaign_source": Column("`utm_source` of the URL, or what a click id or the referrer says", example="google"),
    "campaign_medium": Column("`utm_medium` of the URL, or what a click id or the referrer says", example="cpc"),
    "campaign_name": Column("`utm_campaign` of the URL", example="spring_sale"),
    "campaign_term": Column("`utm_term` of the URL", example="shoes"),
    "campaign_content": Column("`utm_content` of the URL", example="banner_2"),
    "campaign_id": Column("`utm_id` of the URL", example="c-17"),
    "campaign_click_id": Column("identifier that an advertising network added to the link"),
    "campaign_click_id_type": Column("parameter that held the click id", example="gclid"),
    "campaign_referrer_host": Column("host of the referrer, without `www.`", example="google.com"),
    "campaign_channel": Column("channel that brought the visitor", values=CHANNELS),
}
_AMOUNTS: Final = {
    f"{name}_base": Column(f"`{name}` at the last rate on or before the event's date; null without a rate", _BASE)
    for name in ("price", "discount", "amount", "tax", "shipping")
}
_STATUS: Final = (
    "what the step of enrichment found: ok, off, no_key, not_found, failed, stale, or a reason of the step's own"
)

STEPS: Final = {
    "user_*": Column("column of the look-up or update stream of users"),
    "product_*": Column("column of the look-up or update stream of products"),
    **_GEO,
    **_DEVICE,
    **_CAMPAIGN,
    **_AMOUNTS,
    **{
        f"{step}_status": Column(_STATUS)
        for step in ("user", "product", "geo", "device", "campaign", "currency", "pii")
    },
}
"""What the steps of enrichment add."""

ENRICHED_EVENTS: Final = About(
    "one good event; with `--dedup` one per `event_id`",
    {
        **EVENT,
        **STEPS,
        "payment_amount": Column("amount of the payment of the line's order", "`payment_currency`"),
        "payment_currency": Column("currency of that payment, ISO 4217", example="EUR"),
        "payment_time": Column("event time of that payment", "UTC"),
        "match_status": Column(
            "whether a purchase line and a payment of its order met within `--payment_bound`",
            values=("matched", "unmatched_purchase", "unmatched_payment", "no_order_id", "not_applicable", "off"),
        ),
    },
)

LATE_EVENTS: Final = About(
    "one event that came after its window had closed, by operator; it is in no result of that operator",
    {
        **EVENT,
        **STEPS,
        "operator": Column("operator that the event was too late for", example="journeys"),
        "late_by_ms": Column("how long the event's own window had been closed", "ms", example="1200"),
        "visitor": Column("who it was, as far as was known"),
        "channel": Column("channel that brought the visitor", values=CHANNELS),
        "device": Column("class of the device", example="mobile"),
        "country": Column("country of the visitor, ISO 3166-1 alpha-2", example="DE"),
        "metric": Column("metric that the row was too late for"),
    },
)

DEAD_LETTERS: Final = About(
    "one row of the input that is no event, with its bytes",
    {
        **_POSITION,
        "raw": Column("the row's bytes as they were read; of a row that is too large the first 64 KiB"),
        "rule": Column("rule that the row breaks", values=tuple(rule.value for rule in Rule)),
        "message": Column("what is wrong with it, in a line", example="price: not a number"),
        "seen_at": Column("when it was read, by the driver's clock; provenance", "UTC"),
        "protected": Column("whether the privacy policy changed `raw`, which is then not what was read"),
    },
)

DATA_QUALITY: Final = About(
    "one window, check and subject",
    {
        "window_start": Column("begin of the window of event time (`--quality_window`)", "UTC"),
        "window_end": Column("end of the window", "UTC"),
        "check_name": Column(
            "what was counted: `schema_violation`, `null_rate`, `unknown_type`, `duplicate`, `unjudged`, `late`, "
            "`bot`, `label`, `series_overflow`",
            example="null_rate",
        ),
        "subject": Column("rule, field or operator that it was counted of", example="price"),
        "count": Column("rows that failed the check", "rows"),
        "rows": Column("rows that were looked at", "rows"),
    },
    "A row comes when its window closes, and again, whole, with a higher `revision`, if more is counted for it.",
)
