"""Geography of addresses from MaxMind's format (mmdb), in the nested layout of GeoIP2 and in flat ones."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import maxminddb
import polars as pl

from ecompulse.io.lookups.store import KEY, LookupFailed
from ecompulse.io.lookups.values import to_bytes, typed_rows
from ecompulse.kernels.enrich.geo import NETWORK, PLACE

Way = tuple[str | int, ...]
"""Keys to follow from a record to a value."""

WAYS: Final[Mapping[str, Sequence[Way]]] = {
    "country": (("country", "iso_code"), ("country_code",), ("registered_country", "iso_code")),
    "continent": (("continent", "code"), ("continent_code",)),
    "region": (("subdivisions", 0, "iso_code"), ("subdivisions", 0, "names", "en"), ("state1",), ("region",)),
    "city": (("city", "names", "en"), ("city",)),
    "postal_code": (("postal", "code"), ("postcode",), ("postal_code",)),
    "latitude": (("location", "latitude"), ("latitude",)),
    "longitude": (("location", "longitude"), ("longitude",)),
    "time_zone": (("location", "time_zone"), ("timezone",), ("time_zone",)),
    "asn": (("autonomous_system_number",), ("asn",)),
    "network_owner": (("autonomous_system_organization",), ("as_name",), ("organization",)),
}
"""Where a value may be: GeoIP2 and GeoLite2 first, then DB-IP's and ip-location-db's flat names."""

_PROBES: Final = 256


class GeoStore:
    """A database, memory-mapped; a store whose keys are canonical public addresses.

    Args:
        path: of the .mmdb file.
        columns: `PLACE` or `NETWORK`.

    Raises:
        ValueError: one line: no such file, not a database, a damaged one, or one that has none of the columns.
    """

    def __init__(self, path: str, columns: pl.Schema) -> None:
        self._path = path
        self._columns = columns
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
        try:
            self._reader = maxminddb.open_database(path)
            sample = _probe(self._reader)
        except (maxminddb.InvalidDatabaseError, OSError, ValueError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a readable MaxMind database, or damaged: {_line(error)}") from error
        if not any(_value(record, WAYS[name]) is not None for record in sample for name in columns):
            kind = self._reader.metadata().database_type
            raise ValueError(f"{path}: a database of type {kind} has none of {', '.join(columns)}")

    @property
    def columns(self) -> pl.Schema:
        """As asked for; what the database does not know is null."""
        return self._columns

    @property
    def versions(self) -> str:
        """`IPv4` or `IPv4 and IPv6`, as the database declares; it may still hold networks of one kind only."""
        return "IPv4" if self._reader.metadata().ip_version == 4 else "IPv4 and IPv6"  # noqa: PLR2004

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """See `ecompulse.io.lookups.Store`. Python sees each key once: 1 us flat, about 10 us nested."""
        found = []
        only_v4 = self._reader.metadata().ip_version == 4  # noqa: PLR2004
        try:
            for key in keys:
                record = None if only_v4 and ":" in key else self._reader.get(key)
                if record is not None:
                    found.append((key, *(_value(record, WAYS[name]) for name in self._columns)))
        except (maxminddb.InvalidDatabaseError, ValueError, TypeError) as error:
            raise LookupFailed(f"{self._path}: {_line(error)}") from error
        return _typed(found, self._columns)


def open_places(path: str) -> GeoStore:
    """Country, region, city and place.

    Raises:
        ValueError: see GeoStore.
    """
    return GeoStore(path, PLACE)


def open_networks(path: str) -> GeoStore:
    """Autonomous systems.

    Raises:
        ValueError: see GeoStore.
    """
    return GeoStore(path, NETWORK)


def _typed(found: list[tuple[Any, ...]], columns: pl.Schema) -> pl.DataFrame:
    """Rows of a database, which may hold anything: flat ones have texts for numbers, and numbers for texts."""
    try:
        return pl.DataFrame(found, schema={KEY: pl.String(), **columns}, orient="row")
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        keys, *values = zip(*found, strict=True)
        texts = {name: [_bytes(value) for value in column] for name, column in zip(columns, values, strict=True)}
        return typed_rows(keys, texts, columns)


def _bytes(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else to_bytes(str(value))


def _probe(reader: maxminddb.Reader) -> list[Any]:
    """Some records from the whole breadth of the database; a damaged one mostly fails here."""
    records = [record for _, record in islice(reader, _PROBES)]
    for number in range(_PROBES):
        reader.get(f"{number}.{number}.1.1")
        if reader.metadata().ip_version == 6:  # noqa: PLR2004
            records.append(reader.get(f"2{number:03x}:{number:x}::1"))
    return [record for record in records if record is not None]


def _value(record: Any, ways: Sequence[Way]) -> Any:
    """What is found on the first way that leads anywhere."""
    for way in ways:
        value = _follow(record, way)
        if value is not None and not isinstance(value, dict | list):
            return value
    return None


def _follow(value: Any, way: Way) -> Any:
    for key in way:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and len(value) > key:
            value = value[key]
        else:
            return None
    return value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
