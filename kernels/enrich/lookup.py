"""Keyed look-ups on columns: the unique keys of a batch are asked for once, and joined back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, Protocol

import polars as pl

from ecompulse.kernels.config import ConfigError, Duration
from ecompulse.kernels.enrich.status import NO_KEY, OFF
from ecompulse.kernels.enrich.step import CacheConfig, Need, OnError, Opened, Step, status_column, untouched

ColumnType = Literal["text", "integer", "number", "decimal", "boolean"]

KEY: Final = "key"
FOUND_STATUS: Final = "status"
LOOKUP: Final = "lookup"

TYPES: Final[dict[str, pl.DataType]] = {
    "text": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "decimal": pl.Decimal(18, 4),
    "boolean": pl.Boolean(),
}
"""Types that a declared column may have."""

_MOST_RETRIES: Final = 10


class Finder(Protocol):
    """A store behind its cache, as a step sees it."""

    @property
    def columns(self) -> pl.Schema:
        """The columns it adds, without the key; known before the first batch."""
        ...

    def find(self, keys: pl.Series) -> pl.DataFrame:
        """One row per key (unique, not null, String): `key`, `columns`, and `status`, in any order.

        `status` is `ok`, `not_found`, `stale` or `failed`.

        Raises:
            ecompulse.io.lookups.LookupFailed: the store fails and its policy is `fail`.
        """
        ...


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
class LookupStep(Step):
    """A keyed look-up whose columns are added with the step's prefix. A subclass names the step and the key.

    Attributes:
        key: column of events that is looked up.
        lookup: URL of the store, such as `parquet:users.parquet?key=user_id`; null is the same as off.
        on_error: `degrade` (nulls, status `failed`), `stale` (the expired entry, status `stale`) or `fail`.
        cache: bounds and lifetimes of the cache.
        declared: `columns` in YAML: those of a store or update stream that does not say them itself, name to
            `text integer number decimal boolean`.
        deadline: ms after which a batch no longer waits for the store, retries included.
        retries: further attempts of a failed request within the deadline, with growing, random pauses.
        breaker: when a failing store is left alone.
    """

    key: ClassVar[str]
    lookup: str | None = None
    on_error: OnError = "degrade"
    cache: CacheConfig = field(default_factory=CacheConfig)
    declared: Mapping[str, ColumnType] = field(default_factory=dict, metadata={"key": "columns"})
    deadline: Duration = 5_000
    retries: int = 2
    breaker: BreakerConfig = BreakerConfig()

    def __post_init__(self) -> None:
        if self.deadline < 1:
            raise ConfigError("deadline", "must be above zero")
        if not 0 <= self.retries <= _MOST_RETRIES:
            raise ConfigError("retries", f"must be from 0 to {_MOST_RETRIES}, found {self.retries}")

    @property
    def reads(self) -> Collection[str]:
        """See Step."""
        return (self.key,)

    def needs(self) -> Mapping[str, Need]:
        """The store, if there is one."""
        return {LOOKUP: KeyedStore(self.name, self)} if self.enabled and self.lookup else {}

    def columns(self, opened: Opened) -> pl.Schema:
        """The store's, else those that are declared, prefixed by the step's name."""
        return prefixed(self.given(opened), f"{self.name}_")

    def given(self, opened: Opened) -> pl.Schema:
        """The same as the store names them."""
        declared = {name: TYPES[kind] for name, kind in self.declared.items()} if self.enabled else {}
        return opened[LOOKUP].columns if LOOKUP in opened else pl.Schema(declared)

    def check(self, columns: pl.Schema, opened: Opened) -> None:
        """Refuse a look-up whose prefixed columns are already taken: by the event, another step, or one of its own.

        Tables tell columns apart without regard to case.
        """
        taken = {name.lower(): f"{name} of the event" for name in (*columns, status_column(self.name))}
        for name in self.given(opened):
            shown = _prefix(name, f"{self.name}_")
            if shown.lower() in taken:
                raise ConfigError(
                    LOOKUP if LOOKUP in opened else "columns",
                    f"its column {name} would become {shown}, beside {taken[shown.lower()]}; "
                    f"rename it, or choose others with columns=a,b",
                )
            taken[shown.lower()] = f"its column {name}"

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """Without a store the status is `off`."""
        finder: Finder | None = opened.get(LOOKUP)
        if finder is None:
            return untouched(events, self, self.columns(opened), OFF)
        renames = {name: _prefix(name, f"{self.name}_") for name in finder.columns}
        found = resolve(events[self.key], finder).rename({**renames, FOUND_STATUS: status_column(self.name)})
        return pl.concat([events, found], how="horizontal")


@dataclass(frozen=True)
class UserStep(LookupStep):
    """Who the user is: columns `user_*` by `user_id`."""

    name: ClassVar[str] = "user"
    key: ClassVar[str] = "user_id"


@dataclass(frozen=True)
class ProductStep(LookupStep):
    """What the product is: columns `product_*` by `product_id`."""

    name: ClassVar[str] = "product"
    key: ClassVar[str] = "product_id"


@dataclass(frozen=True)
class KeyedStore(Need):
    """A store with its cache, deadline, retries and breaker.

    Attributes:
        step: name, for messages and telemetry.
        settings: of the step; equal settings of a step share everything.
    """

    step: str
    settings: LookupStep


def prefixed(columns: pl.Schema, prefix: str) -> pl.Schema:
    """Names as they stand in the output: `tier` becomes `user_tier`, `user_tier` stays."""
    return pl.Schema({_prefix(name, prefix): dtype for name, dtype in columns.items()})


def resolve(keys: pl.Series, finder: Finder) -> pl.DataFrame:
    """The finder's columns and `status`, one row per row of `keys`; a null key gives nulls and `no_key`."""
    asked = keys.cast(pl.String).rename(KEY)
    found = finder.find(asked.drop_nulls().unique()).select(KEY, *finder.columns, FOUND_STATUS)
    joined = asked.to_frame().join(found, on=KEY, how="left", maintain_order="left")
    return joined.drop(KEY).with_columns(pl.col(FOUND_STATUS).fill_null(NO_KEY))


def _prefix(name: str, prefix: str) -> str:
    return name if name.startswith(prefix) else prefix + name
