"""What an entity is: a user, device, address, card or merchant whose history tells of a transaction."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Final

import polars as pl

from ecompulse.kernels.config import ConfigError, Duration, nearest, parse_config
from ecompulse.kernels.fraud.buckets import Window, parse_window
from ecompulse.kernels.rows import DAY_MS, ORDER_SCHEMA

TRANSACTION_SCHEMA: Final = pl.Schema(
    {
        "transaction_id": pl.String(),
        "order_id": pl.String(),
        **ORDER_SCHEMA,
        "visitor": pl.String(),
        "user_id": pl.String(),
        "device_id": pl.String(),
        "ip": pl.String(),
        "card_id": pl.String(),
        "merchant_id": pl.String(),
        "country": pl.String(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "minor": pl.Int64(),
        "signup": pl.Int64(),
    }
)
"""A transaction: `event_time` TIME, `minor` the amount in 1/10,000 of the base currency, `signup` UTC ms."""

TEXTS: Final = tuple(
    name
    for name, dtype in TRANSACTION_SCHEMA.items()
    if dtype == pl.String() and name not in {"source", "transaction_id"}
)
MARK_SCHEMA: Final = pl.Schema({"known": pl.Int64(), "frauds": pl.Int64()})
"""What a mark adds to the entities of a transaction, at `event_time` = when it counts; null on transactions."""

ROW_SCHEMA: Final = pl.Schema({**TRANSACTION_SCHEMA, **MARK_SCHEMA})
_DAYS: Final = ("1d", "7d", "30d")
_FIRST_AND_LAST: Final = 2
_HOURS: Final = 24


@dataclass(frozen=True)
class Pair:
    """Others that an entity is seen with, such as the cards of a device.

    Attributes:
        column: of the other.
        window: within which it counts as known, and is counted.
    """

    column: str
    window: Duration = 30 * DAY_MS

    def __post_init__(self) -> None:
        _check_column(self.column)


@dataclass(frozen=True)
class Entity:
    """An entity and what is computed of its history.

    Attributes:
        column: that holds its id; rows without one have no such features.
        windows: of counts, amounts and risk, ascending.
        pairs: by name, others it is seen with.
        travel: whether it has a place, that it cannot leave faster than it can travel.
        risk: whether labels of its transactions count.
        forget: silence after which it is new again.
        cap: others known at the most; a larger number is shown as this.
        busy: transactions in its longest window from which an entity tells nothing of one of them, and its features are
            null: a shop's only merchant, the address of a carrier.
    """

    column: str
    windows: tuple[str, ...] = ("1h", *_DAYS)
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    travel: bool = False
    risk: bool = True
    forget: Duration = 90 * DAY_MS
    cap: int = 64
    busy: int = 10_000

    def __post_init__(self) -> None:
        _check_column(self.column)
        if not self.windows or self.cap < 1:
            raise ValueError("windows and cap must not be empty or 0")
        lengths = [window.length for window in self.spans]
        if sorted(set(lengths)) != lengths:
            raise ConfigError("windows", "must be ascending")

    @cached_property
    def spans(self) -> tuple[Window, ...]:
        """The windows."""
        try:
            return tuple(parse_window(text) for text in self.windows)
        except ValueError as error:
            raise ConfigError("windows", str(error)) from None

    def features(self, name: str) -> Iterator[str]:
        """Names of the features, in order; `name` is the entity's."""
        for window in self.windows:
            yield from (f"{name}_count_{window}", f"{name}_mean_{window}")
        last = self.windows[-1]
        yield from (f"{name}_ratio_{last}", f"{name}_deviation_{last}", f"{name}_to_max_{last}")
        yield from (f"{name}_since_last", f"{name}_since_first")
        if self.risk:
            for window in self.windows:
                yield from (f"{name}_frauds_{window}", f"{name}_risk_{window}")
            yield from (f"{name}_since_fraud", f"{name}_since_label", f"{name}_frauds_running")
        for pair in self.pairs:
            yield from (f"{name}_distinct_{pair}", f"{name}_new_{pair}")
        if self.travel:
            yield f"{name}_speed"


SURPRISING: Final = ("amount", "ratio", "deviation", "to_max", "frauds", "risk", "distinct", "new", "speed", "count_1h")


@dataclass(frozen=True)
class FeatureSet:
    """All features of a transaction.

    Attributes:
        entities: by name; one keyed operator each.
        timezone: IANA name, of night and weekend.
        night: hours of the day that are night, first and last.
        surprising: parts of the names of features of which a high value is suspicious by itself: what the unsupervised
            model looks at, and what reasons are taken from.
    """

    entities: Mapping[str, Entity]
    timezone: str = "UTC"
    night: tuple[int, ...] = (0, 6)
    surprising: tuple[str, ...] = SURPRISING

    def __post_init__(self) -> None:
        if not self.entities:
            raise ConfigError("entities", "required: one at the least")
        if len(self.night) != _FIRST_AND_LAST or not all(0 <= hour < _HOURS for hour in self.night):
            raise ConfigError("night", "wants two hours of 0 to 23, the first and the last")
        if not self.suspicious:
            raise ConfigError("surprising", "names no feature that there is")

    @property
    def names(self) -> Sequence[str]:
        """Names of the features in the order of a model's columns."""
        own = [name for key, entity in self.entities.items() for name in entity.features(key)]
        return [*ROW_FEATURES, *own]

    @property
    def suspicious(self) -> tuple[int, ...]:
        """Numbers of the features that `surprising` names."""
        return tuple(n for n, name in enumerate(self.names) if any(part in name for part in self.surprising))


ROW_FEATURES: Final = ("amount", "hour", "night", "weekend", "since_signup")
"""Features of the row itself; `amount` in the base currency, `since_signup` in hours."""


def row_features(rows: pl.DataFrame, features: FeatureSet) -> pl.DataFrame:
    """Transactions with ROW_FEATURES (Float32)."""
    local = pl.col("event_time").dt.convert_time_zone(features.timezone)
    hour, first, last = local.dt.hour(), features.night[0], features.night[-1]
    night = hour.is_between(first, last) if first <= last else (hour >= first) | (hour <= last)
    age = (pl.col("event_time").dt.epoch("ms") - pl.col("signup")) / 3_600_000
    found = {"amount": pl.col("minor") / 10_000, "hour": hour, "night": night}
    found |= {"weekend": local.dt.weekday() > 5, "since_signup": age}  # noqa: PLR2004  # Saturday is 6
    return rows.with_columns(value.cast(pl.Float32).alias(name) for name, value in found.items())


def parse_features(text: str, origin: str = "") -> FeatureSet:
    """The features of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    return parse_config(FeatureSet, text, origin)


def standard_features(name: str = "standard") -> FeatureSet:
    """The features that are shipped."""
    text = resources.files("ecompulse.kernels.fraud").joinpath(f"{name}.yaml").read_text("utf-8")
    return parse_features(text, name)


def _check_column(column: str) -> None:
    if column not in TEXTS:
        raise ConfigError("column", f"{column!r} is no column of a transaction{nearest(column, TEXTS)}")
