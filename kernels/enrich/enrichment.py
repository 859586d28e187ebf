"""All steps in their order, and the schema of what comes out.

Order: user, product, geo, device, campaign, currency, PII policy; decoding and validation come before. The order
is fixed: a step sees the event as it was decoded, and the policy sees everything that will be stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.enrich import campaign, currency, device, geo, lookup, pii
from ecompulse.kernels.enrich.config import EnrichConfig, LookupStep
from ecompulse.kernels.enrich.lookup import Finder
from ecompulse.kernels.enrich.status import STATUS, collect

KEYED: Final = {"user": "user_id", "product": "product_id"}
"""Steps that look up by a field of the event."""


@dataclass(frozen=True)
class Resources:
    """What the steps need from outside, opened by `ecompulse.io.lookups.open_resources`.

    Attributes:
        user: by user_id, or none.
        product: by product_id, or none.
        places: by public address: `geo.PLACE`.
        networks: by public address: `geo.NETWORK`.
        agents: by user agent: `device.AGENT`.
        rates: `currency.RATES`.
        pii_key: of keyed hashes.
    """

    user: Finder | None = None
    product: Finder | None = None
    places: Finder | None = None
    networks: Finder | None = None
    agents: Finder | None = None
    rates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=currency.RATES))
    pii_key: str | None = field(default=None, repr=False)


OpenResources = Callable[[EnrichConfig], Resources]
"""Opens look-ups on a worker; `ecompulse.io.lookups.open_resources`. What is open already costs nothing."""


def enrich(events: pl.DataFrame, config: EnrichConfig, resources: Resources) -> pl.DataFrame:
    """The batch with every step's columns and `enrichment_status`; rows and their order are kept.

    The schema is `enriched_schema(config, events.schema, ...)` for every batch, an empty one included.

    Raises:
        ecompulse.io.lookups.LookupFailed: a store failed whose policy is `fail`.
    """
    steps = config.steps
    events = lookup.apply(events, _finder(steps.user, resources.user), step="user", key=KEYED["user"])
    events = lookup.apply(events, _finder(steps.product, resources.product), step="product", key=KEYED["product"])
    events = geo.apply(events, resources.places, resources.networks, enabled=steps.geo.enabled)
    events = device.apply(events, resources.agents if steps.device.enabled else None)
    events = campaign.apply(events, steps.campaign)
    events = currency.apply(events, resources.rates, steps.currency)
    events = pii.apply(events, steps.pii, resources.pii_key)
    return collect(events)


def enriched_schema(
    config: EnrichConfig, events: pl.Schema, user: pl.Schema | None = None, product: pl.Schema | None = None
) -> pl.Schema:
    """Columns of enriched events: those of `events`, of the look-ups, and of all other steps, on or off.

    `user` and `product` are the columns of the look-ups (`Finder.columns`), before prefixing.

    Raises:
        ConfigError: a look-up's column is already taken, or the PII policy names a column that is not there.
    """
    schema = pl.Schema(events)
    fixed = {**geo.COLUMNS, **device.COLUMNS, **campaign.COLUMNS, **currency.COLUMNS}
    for step, section, columns in (
        ("user", config.steps.user, user),
        ("product", config.steps.product, product),
    ):
        if columns is not None and section.enabled:
            lookup.check_columns(columns, pl.Schema({**schema, **fixed}), step)
            schema = pl.Schema({**schema, **lookup.prefixed(columns, f"{step}_")})
    schema = pl.Schema({**schema, **fixed})
    pii.check_policy(config.steps.pii, schema)
    return pl.Schema({**schema, "enrichment_status": STATUS})


def _finder(section: LookupStep, finder: Finder | None) -> Finder | None:
    return finder if section.enabled else None
