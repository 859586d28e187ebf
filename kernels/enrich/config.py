"""What `--enrich` configures: one section per step, every key with a default. See default.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import polars as pl

from ecompulse.kernels.config import ConfigError, Duration, parse_config

OnError = Literal["degrade", "stale", "fail"]
ColumnType = Literal["text", "integer", "number", "decimal", "boolean"]
Action = Literal["drop", "mask", "hash"]

_MOST_RETRIES = 10

IDENTIFIERS = frozenset(
    {
        "event_id", "user_id", "anonymous_id", "session_id", "device_id", "product_id", "order_id", "payment_id",
        "card_id", "merchant_id",
    }
)  # fmt: skip
"""Fields that other rows are matched by: two of them masked alike would become one person or one order."""


@dataclass(frozen=True)
class CacheConfig:
    """The cache in front of a store: one per store and process, least recently used rows go first.

    Attributes:
        ttl: ms until a found key is asked for again.
        negative_ttl: ms until a key known to be absent is asked for again.
        max_rows: keys kept, absent ones included.
    """

    ttl: Duration = 300_000
    negative_ttl: Duration = 60_000
    max_rows: int = 1_000_000

    def __post_init__(self) -> None:
        if self.max_rows < 1:
            raise ConfigError("max_rows", f"must be at least 1, found {self.max_rows}")


@dataclass(frozen=True)
class BreakerConfig:
    """The circuit breaker of a look-up, one per process: how long a failing store is left alone.

    Attributes:
        failures: requests in a row that must fail (retries included) until it opens.
        reset: ms that it stays open; then one request tries whether the store is back.
    """

    failures: int = 3
    reset: Duration = 30_000

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ConfigError("failures", f"must be at least 1, found {self.failures}")


@dataclass(frozen=True)
class LookupStep:
    """A keyed look-up whose columns are added with the step's prefix.

    Attributes:
        enabled: false: the status is `off` and no columns are added.
        lookup: URL of the store, such as `parquet:users.parquet?key=user_id`; null is the same as off.
        on_error: `degrade` (nulls, status `failed`), `stale` (the expired entry, status `stale`) or `fail`.
        cache: bounds and lifetimes of the cache.
        columns: of a store or update stream that does not say them itself: name to `text integer number decimal
            boolean`.
        deadline: ms after which a batch no longer waits for the store, retries included.
        retries: further attempts of a failed request within the deadline, with growing, random pauses.
        breaker: when a failing store is left alone.
    """

    enabled: bool = True
    lookup: str | None = None
    on_error: OnError = "degrade"
    cache: CacheConfig = CacheConfig()
    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    deadline: Duration = 5_000
    retries: int = 2
    breaker: BreakerConfig = BreakerConfig()

    def __post_init__(self) -> None:
        if self.deadline < 1:
            raise ConfigError("deadline", "must be above zero")
        if not 0 <= self.retries <= _MOST_RETRIES:
            raise ConfigError("retries", f"must be from 0 to {_MOST_RETRIES}, found {self.retries}")


@dataclass(frozen=True)
class GeoStep:
    """Country, region, city, place and network of `ip`, from MaxMind (mmdb) files.

    Attributes:
        enabled: false: nulls, status `off`.
        database: path of a country or city database; none: status `no_database`.
        asn_database: path of a database of autonomous systems.
        on_error: as for a look-up.
        cache: as for a look-up.
    """

    enabled: bool = True
    database: str | None = None
    asn_database: str | None = None
    on_error: OnError = "degrade"
    cache: CacheConfig = CacheConfig(ttl=86_400_000, negative_ttl=86_400_000, max_rows=200_000)


@dataclass(frozen=True)
class DeviceStep:
    """Class, browser and operating system of `user_agent`.

    Attributes:
        enabled: false: nulls, status `off`.
        max_rows: different user agents kept parsed per process.
        own_agents: regular expressions of apps of the shop: an agent that matches one is never a bot.
    """

    enabled: bool = True
    max_rows: int = 100_000
    own_agents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, pattern in enumerate(self.own_agents):
            try:
                pl.Series(["agent"]).str.contains(pattern)
            except pl.exceptions.PolarsError as error:
                reason = str(error).strip().splitlines()[-1]
                raise ConfigError(f"own_agents[{number}]", f"{pattern!r} is no regular expression: {reason}") from None
            if not pattern:
                raise ConfigError(f"own_agents[{number}]", "is empty, which matches every agent")


@dataclass(frozen=True)
class CampaignStep:
    """Campaign parameters and channel of `url` and `referrer`.

    Attributes:
        enabled: false: nulls, status `off`.
        own_domains: referrers from here, subdomains included, are `internal`, as is the host of `url` itself.
        search, social, shopping, video, mail: names added to the shipped ones: a label (`google` stands for
            google.com, www.google.co.uk) or, with a dot, a domain and its subdomains (`t.co`).
    """

    enabled: bool = True
    own_domains: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    social: tuple[str, ...] = ()
    shopping: tuple[str, ...] = ()
    video: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()


def _currency_code(value: object) -> str:
    if isinstance(value, str) and re.fullmatch("[A-Z]{3}", value):
        return value
    raise ValueError(f"{value!r} is not an ISO 4217 code such as EUR")


@dataclass(frozen=True)
class CurrencyStep:
    """Amounts in the base currency.

    Attributes:
        enabled: false: nulls, status `off`.
        base: ISO 4217 code of the base currency.
        rates: path of a table (.csv or .parquet) of `date, currency, rate`, rate = base units per one unit.
        max_age: ms; a rate older than this is still used, with status `stale`. Null: any age is good.
    """

    enabled: bool = True
    base: Annotated[str, _currency_code] = "USD"
    rates: str | None = None
    max_age: Duration | None = None


def _key_source(value: object) -> str:
    if isinstance(value, str) and re.fullmatch("(env|file):.+", value):
        return value
    raise ValueError("must be env:NAME or file:PATH; the key itself never stands in a configuration")


@dataclass(frozen=True)
class PiiStep:
    """What happens to personal data before anything is stored; without any action the step is off.

    Attributes:
        enabled: false: no policy.
        ip: action on the `ip` column; `mask` keeps the first 24 bits of IPv4, 48 of IPv6.
        emails: action on everything that looks like an email address, in every text column; in identifiers
            it is always `hash`.
        fields: action by column name or `properties.name`; `mask` is `***`.
        key: where the key of `hash` is: `env:NAME` or `file:PATH`, 16 characters or more.
    """

    enabled: bool = True
    ip: Action | None = None
    emails: Action | None = None
    fields: Mapping[str, Action] = field(default_factory=dict)
    key: Annotated[str, _key_source] | None = None

    def __post_init__(self) -> None:
        for name, action in self.fields.items():
            if name in IDENTIFIERS and action != "hash":
                raise ConfigError(f"fields.{name}", f"{action} would make different ids one; use hash")
            if name in ("event_type", "event_time", "properties"):
                raise ConfigError(f"fields.{name}", "cannot be hidden as a whole; name properties.x")
        if self.needs_key and self.key is None:
            raise ConfigError("key", "required (env:NAME or file:PATH): something is hashed, as ids with emails are")

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return self.enabled and bool(self.ip or self.emails or self.fields)

    @property
    def needs_key(self) -> bool:
        """Whether a keyed hash is computed anywhere."""
        return bool(self.emails) or self.ip == "hash" or "hash" in self.fields.values()


@dataclass(frozen=True)
class Steps:
    """The steps in their order."""

    user: LookupStep = LookupStep()
    product: LookupStep = LookupStep()
    geo: GeoStep = GeoStep()
    device: DeviceStep = DeviceStep()
    campaign: CampaignStep = CampaignStep()
    currency: CurrencyStep = CurrencyStep()
    pii: PiiStep = PiiStep()


@dataclass(frozen=True)
class EnrichConfig:
    """The whole document."""

    steps: Steps = Steps()


def parse_enrich(text: str, origin: str = "") -> EnrichConfig:
    """The enrichment steps of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key and its nearest neighbour.
    """
    return parse_config(EnrichConfig, text, origin)
