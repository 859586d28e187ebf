"""One interface of all look-up stores, opened from a URL-like text such as `parquet:users.parquet?key=user_id`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl

import polars as pl

from ecompulse.epochs.errors import JobError
from ecompulse.io.schemes import Schemes
from ecompulse.kernels.config import nearest
from ecompulse.kernels.enrich.lookup import FOUND_STATUS
from ecompulse.kernels.event import TIME

KEY: Final = "key"
"""Name of the key column (String) in what `fetch` gives."""


class LookupFailed(JobError):  # noqa: N818  # says what happened, as KeyError does not
    """A store that was opened did not answer, or answered with something else than it should."""


class Store(Protocol):
    """Where the rows are. Implementations may be called by several threads at once.

    A wrapper with the same members (`GuardedStore`: deadline, retries, circuit breaker) goes between store and cache.
    """

    @property
    def columns(self) -> pl.Schema:
        """Columns of a row, without the key; fixed for the life of the store."""
        ...

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """`key` and `columns` of the keys that exist, in any order, in one request.

        Where a value may not be of its column's type there is a `status` too: `ok`, or `malformed` for a row with such
        a value, which is null.

        Args:
            keys: String, unique, no nulls.

        Raises:
            LookupFailed: no answer, or a wrong one. Never a part of an answer.
        """
        ...


class RemoteStore(Store, Protocol):
    """A store behind a network: a request may hang, so that it runs in a thread of its own."""

    def check(self) -> None:
        """Ask the server whether it is there and lets us in; ValueError, one line, when not."""
        ...

    def abandon(self) -> None:
        """Close connections, also those that another thread waits on; later requests make new ones."""
        ...


@dataclass(frozen=True)
class LookupSpec:
    """Which store, and how to read it; small and picklable, so that workers open it themselves.

    Attributes:
        scheme: `parquet`, `sqlite`, `jsonl`, `redis`, `rediss`, `dynamodb`, or what else is registered.
        location: a path, or an address without credentials.
        options: the query: `key` (required, but for `redis`), `columns=a,b`, and what the scheme knows.
        declared: the columns that the step declares, for stores that do not say theirs.
        timeout: seconds after which a query is given up, or a connection without an answer.
    """

    scheme: str
    location: str
    options: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, pl.DataType] = field(default_factory=dict)
    timeout: float = 5.0

    @property
    def key(self) -> str:
        """Name of the key column in the store."""
        return self.options["key"]

    @property
    def chosen(self) -> Sequence[str] | None:
        """The columns asked for, or None for all."""
        text = self.options.get("columns")
        return [name.strip() for name in text.split(",")] if text else None

    def absolute(self, base: Path) -> "LookupSpec":
        """The same with a relative path taken from `base`; for stores that are files."""
        return replace(self, location=str(base / self.location)) if self.scheme in _FILES else self

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.scheme}:{self.location}" + (f"?{query}" if query else "")


Opener = Callable[[LookupSpec], Store]

_FILES: Final = {"parquet", "jsonl", "sqlite"}
LOOKUPS: Final = Schemes[Opener](
    "look-up",
    {
        "parquet": "ecompulse.io.lookups.tables:open_parquet",
        "jsonl": "ecompulse.io.lookups.tables:open_jsonl",
        "sqlite": "ecompulse.io.lookups.sqlite:open_sqlite",
        "redis": "ecompulse.io.lookups.redis:open_redis",
        "rediss": "ecompulse.io.lookups.redis:open_redis",
        "dynamodb": "ecompulse.io.lookups.dynamodb:open_dynamodb",
    },
)
_BY_PATTERN: Final = {"redis", "rediss"}
_EXTRAS: Final = {"rediss": "redis", "dynamodb": "aws"}
_SECRET: Final = re.compile("(env|file):.+")

register_lookup = LOOKUPS.register


def parse_spec(text: str) -> LookupSpec:
    """The spec that a text such as `sqlite:shop.db?table=users&key=id` names.

    Raises:
        ValueError: an unknown scheme, no location, no key, or a password in clear, which is not repeated.
    """
    scheme, colon, rest = text.partition(":")
    location, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if "@" in location or not _SECRET.fullmatch(options.get("password", "env:NONE")):
        raise ValueError(
            f"{scheme}: a look-up's URL must hold no credentials; write user=NAME&password=env:VARIABLE or file:PATH"
        )
    if not colon or scheme not in LOOKUPS:
        raise ValueError(f"{text!r} names no known store{nearest(scheme, LOOKUPS.known)}")
    if not location:
        raise ValueError(f"{text!r} has no path; write {scheme}:PATH?key=COLUMN")
    if not options.get("key") and scheme not in _BY_PATTERN:
        raise ValueError(f"{text!r} names no key column; add ?key=COLUMN")
    return LookupSpec(scheme, location, options)


def open_lookup(spec: LookupSpec | str) -> Store:
    """The store of a spec, opened; a server is first asked by `check` or `fetch`.

    Raises:
        ValueError: one line: a missing file or key column, a corrupt database, an unknown option.
    """
    spec = parse_spec(spec) if isinstance(spec, str) else spec
    try:
        opener = LOOKUPS.opener(f"{spec.scheme}:")
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(spec.scheme, spec.scheme)
        raise ValueError(f"{spec.scheme}: needs {error.name}; install ecompulse[{extra}]") from None
    return opener(spec)


def is_local(spec: LookupSpec) -> bool:
    """Whether the store is a file that this process reads itself."""
    return spec.scheme in _FILES


def check_options(spec: LookupSpec, known: Sequence[str]) -> None:
    """Refuse options that the scheme does not know.

    Raises:
        ValueError: names the option and its nearest neighbour.
    """
    for name in spec.options:
        if name not in (*known, "key", "columns"):
            raise ValueError(f"{spec}: unknown option {name}{nearest(name, (*known, 'key', 'columns'))}")


def choose_columns(spec: LookupSpec, there: Sequence[str]) -> list[str]:
    """Names of the columns to read, without the key, in the store's order or the order asked for.

    Raises:
        ValueError: the key or a chosen column is not there, or has a name that `check_names` refuses.
    """
    for name in (spec.key, *(spec.chosen or ())):
        if name not in there:
            raise ValueError(f"{spec}: no column {name}{nearest(name, there)}")
    names = [name for name in spec.chosen or there if name != spec.key]
    check_names(spec, names)
    return names


def check_names(spec: LookupSpec, names: Iterable[str]) -> None:
    """Refuse columns that are named as what `fetch` gives beside them.

    Raises:
        ValueError: names the column.
    """
    for name in names:
        if name in (KEY, FOUND_STATUS):
            raise ValueError(
                f"{spec}: its column {name} has a name that the look-up itself needs; choose others with columns=a,b"
            )


def flat_type(spec: LookupSpec, name: str, dtype: pl.DataType) -> pl.DataType:
    """The type that a column is stored with: text, number, boolean, decimal, date, or UTC time in ms.

    Tables have no unsigned numbers and none of more than 64 bits: those are Int64.

    Raises:
        ValueError: a list, struct or bytes, which no later step (a PII policy above all) could see into, or what else
            tables have no type for.
    """
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null):
        return pl.String()
    if isinstance(dtype, pl.Datetime):
        return TIME
    if dtype.is_unsigned_integer() or isinstance(dtype, pl.Int128):
        return pl.Int64()
    if isinstance(dtype, pl.Float16):
        return pl.Float32()
    if isinstance(dtype, pl.String | pl.Boolean | pl.Date) or dtype.is_numeric():
        return dtype
    raise ValueError(f"{spec}: column {name} is {dtype}; choose others with columns=a,b")
