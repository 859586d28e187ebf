"""Keyed look-ups on columns: the unique keys of a batch are asked for once, and joined back."""

from typing import Final, Protocol

import polars as pl

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.status import NO_KEY, OFF, status_column

KEY: Final = "key"
FOUND_STATUS: Final = "status"


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


def prefixed(columns: pl.Schema, prefix: str) -> pl.Schema:
    """Names as they stand in the output: `tier` becomes `user_tier`, `user_tier` stays."""
    return pl.Schema({_prefix(name, prefix): dtype for name, dtype in columns.items()})


def apply(events: pl.DataFrame, finder: Finder | None, *, step: str, key: str) -> pl.DataFrame:
    """The batch with the finder's columns, prefixed by the step's name, and the step's status column.

    Row order is kept. Without a finder only the status `off` is added.
    """
    status = status_column(step)
    if finder is None:
        return events.with_columns(pl.lit(OFF).alias(status))
    renames = {name: _prefix(name, f"{step}_") for name in finder.columns}
    found = resolve(events[key], finder).rename({**renames, FOUND_STATUS: status})
    return pl.concat([events, found], how="horizontal")


def resolve(keys: pl.Series, finder: Finder) -> pl.DataFrame:
    """The finder's columns and `status`, one row per row of `keys`; a null key gives nulls and `no_key`."""
    asked = keys.cast(pl.String).rename(KEY)
    found = finder.find(asked.drop_nulls().unique()).select(KEY, *finder.columns, FOUND_STATUS)
    joined = asked.to_frame().join(found, on=KEY, how="left", maintain_order="left")
    return joined.drop(KEY).with_columns(pl.col(FOUND_STATUS).fill_null(NO_KEY))


def check_columns(columns: pl.Schema, taken: pl.Schema, step: str) -> None:
    """Refuse a look-up whose prefixed columns are already taken by the event or another step.

    Raises:
        ConfigError: names the column and the mend.
    """
    for name in columns:
        if _prefix(name, f"{step}_") in taken:
            raise ConfigError(
                f"steps.{step}.lookup",
                f"its column {name} would become {_prefix(name, step + '_')}, which the event already has; "
                f"rename it, or choose others with columns=a,b",
            )


def _prefix(name: str, prefix: str) -> str:
    return name if name.startswith(prefix) else prefix + name
