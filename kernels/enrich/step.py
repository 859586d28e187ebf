"""What an enrichment step is: settings that YAML gives, columns that it adds, and what it needs from outside.

A step is one frozen dataclass in one file: its fields are its section of `--enrich`, its `apply` is its work. A line of
`STEPS` in `ecompulse.kernels.enrich.enrichment`, or a call of `register_step`, puts it in its place.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import polars as pl

from ecompulse.kernels.config import ConfigError, Duration

OnError = Literal["degrade", "stale", "fail"]
"""What a failing store means: nulls and status `failed`, the expired entry, or that the epoch is tried again."""

FOREVER: Final = 2**60  # ms


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
class Need:
    """Something from outside, opened once per process and shared by its threads; equal needs are one.

    `ecompulse.io.lookups.resources.open_need` says how each kind is opened; `open_need.register` adds one's own.
    """


@dataclass(frozen=True)
class Function(Need):
    """Rows computed from the key, behind a cache that forgets nothing but for room.

    Attributes:
        columns: what `function` adds to the column `key`.
        function: gives `key` and `columns` for unique keys without nulls; a function of a module, or a partial of one.
        max_rows: keys kept.
    """

    columns: Mapping[str, pl.DataType]
    function: Callable[[pl.Series], pl.DataFrame]
    max_rows: int


@dataclass(frozen=True)
class TableFile(Need):
    """A small table read whole, every column as text.

    Attributes:
        path: .csv or .parquet.
        check: makes what the step uses of it; ValueError says what is wrong with the file.
    """

    path: str
    check: Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Secret(Need):
    """A key that no configuration holds.

    Attributes:
        source: `env:NAME` or `file:PATH`.
        least: characters that it must have.
    """

    source: str
    least: int = 16


Opened = Mapping[str, Any]
"""What the `needs` of a step have become, by the setting that names each; an absent one is not needed or not had."""


@dataclass(frozen=True)
class Step:
    """A step of enrichment; a subclass is a frozen dataclass too.

    Attributes:
        name: key of its section, and prefix of its columns.
        enabled: false: its columns are nulls (a look-up has none), its status is `off`.
    """

    name: ClassVar[str]
    enabled: bool = field(default=True, kw_only=True)

    @property
    def reads(self) -> Collection[str] | None:
        """Columns that `apply` reads, of the event or of the steps before; None: any, so that none may be left out."""
        return None

    def needs(self) -> Mapping[str, Need]:
        """What must be opened before `apply`, by the setting that names it; nothing where the step is off."""
        return {}

    def columns(self, opened: Opened) -> pl.Schema:
        """Columns that `apply` adds before its status; known before the first batch."""
        raise NotImplementedError

    def check(self, columns: pl.Schema, opened: Opened) -> None:
        """Refuse settings that do not fit the columns that come in.

        Raises:
            ConfigError: with the path below the step's section.
        """

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """The batch with `columns` and `status_column(name)` (String) behind; rows and their order are kept."""
        raise NotImplementedError


def status_column(step: str) -> str:
    """Name of the column that says what a step did for a row."""
    return f"{step}_status"


def all_null(events: pl.DataFrame, *names: str) -> bool:
    """Whether some columns hold nothing at all, so that a step has nothing to do."""
    return all(events[name].null_count() == events.height for name in names)


def nulls(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Columns of nulls."""
    return [pl.lit(None, dtype).alias(name) for name, dtype in schema.items()]


def untouched(events: pl.DataFrame, step: Step, columns: Mapping[str, pl.DataType], status: str) -> pl.DataFrame:
    """The batch with a step's columns as nulls, and its status for all rows."""
    return events.with_columns(*nulls(columns), pl.lit(status).alias(status_column(step.name)))
