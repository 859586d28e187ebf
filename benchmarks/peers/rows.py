"""What a Python program does with one event: shared by the peers that call Python for each.

Parsed by orjson, checked, looked up in dictionaries, its address in the same database by the same C reader, its user
agent by the same parser behind a cache. Needs no ecompulse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

Event = dict[str, Any]
MONEY: Final = ("price", "discount", "amount", "tax", "shipping")
PRODUCT: Final = ("product_price", "product_cost", "product_margin")
NUMBERS: Final = frozenset({*MONEY, *(f"{name}_base" for name in MONEY), "quantity", *PRODUCT})
TEXTS: Final = (str, datetime)
VIEWS: Final = frozenset({"page_view", "product_view"})
BYTES: Final = 500_000  # of lines that are handed on together


def event_of(line: bytes | Event) -> Event | None:
    """An event with `event_time` as a datetime; None for a line that is none."""
    import orjson  # noqa: PLC0415  # Spark's workers do without

    try:
        event = line if isinstance(line, dict) else orjson.loads(line)
        at = event["event_time"]
        moment = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) else datetime.fromisoformat(at)
        event["event_time"] = moment
        valid = event["event_id"] and event["event_type"] and moment <= datetime.now(UTC)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return event if valid else None


def visitor_of(event: Event) -> str:
    """Whose event it is, by its own ids."""
    return event.get("user_id") or event.get("anonymous_id") or ""


def millis(moment: datetime) -> int:
    """Since 1970."""
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True)
class Place:
    """Countries of addresses."""

    database: Any

    @staticmethod
    @lru_cache(1)
    def configured(shop: Path) -> Place:
        """The database that our own job is configured with; it knows nothing where there is none."""
        import maxminddb  # noqa: PLC0415  # as above

        named = [line for line in (shop / "enrich.yaml").read_text().splitlines() if line.endswith(".mmdb")]
        return Place(maxminddb.open_database(named[0].split(": ")[1]) if named else {})

    @lru_cache(100_000)  # noqa: B019  # there is one for the life of the process
    def country(self, ip: str | None) -> str | None:
        """Of one address."""
        try:
            found = self.database.get(ip) if ip else None
        except ValueError:
            return None
        return found and (found.get("country_code") or found.get("country", {}).get("iso_code"))


@lru_cache(100_000)
def agent_of(agent: str | None) -> tuple[str | None, str | None, str | None]:
    """Families of browser, operating system and device."""
    import ua_parser  # noqa: PLC0415  # as above

    found = ua_parser.parse(agent) if agent else None
    parts = (found.user_agent, found.os, found.device) if found else (None, None, None)
    return tuple(part.family if part else None for part in parts)  # type: ignore[return-value]


@lru_cache(100_000)
def _tags(url: str) -> tuple[str | None, str | None]:
    query = parse_qs(urlsplit(url).query)
    return tuple(query.get(f"utm_{name}", [None])[0] for name in ("source", "medium"))  # type: ignore[return-value]


def _host(referrer: str) -> str | None:
    try:
        return (urlsplit(referrer).hostname or "").removeprefix("www.") or None
    except ValueError:
        return None


class Lookups:
    """All that an event is looked up in, in memory."""

    def __init__(self, shop: Path) -> None:
        """Load it."""
        import pyarrow.csv  # noqa: PLC0415  # as above
        import pyarrow.parquet  # noqa: PLC0415

        self._place = Place.configured(shop)
        rates = pyarrow.csv.read_csv(shop / "rates.csv").to_pylist()
        self._rates = {(row["date"], row["currency"]): row["rate"] for row in rates}
        self._tables = {
            name: {
                row[f"{name}_id"]: {
                    f"{name}_{k}": float(v) if isinstance(v, Decimal) else v
                    for k, v in row.items()
                    if k != f"{name}_id"
                }
                for row in pyarrow.parquet.read_table(shop / f"{name}s.parquet").to_pylist()
            }
            for name in ("user", "product")
        }

    def price(self, event: Event) -> Event:
        """Add amounts in euros."""
        currency = event.get("currency")
        rate = 1.0 if currency == "EUR" else self._rates.get((event["event_time"].date(), currency))
        for name in MONEY:
            amount = event.get(name)
            event[f"{name}_base"] = amount * rate if rate and isinstance(amount, int | float) else None
        return event

    def enrich(self, event: Event) -> Event:
        """Add everything."""
        self.price(event)
        for name, table in self._tables.items():
            event.update(table.get(event.get(f"{name}_id"), {}))
        event["geo_country"] = self._place.country(event.get("ip"))
        event["browser"], event["os"], event["device"] = agent_of(event.get("user_agent"))
        event["campaign_source"], event["campaign_medium"] = _tags(event.get("url") or "")
        event["campaign_referrer_host"] = _host(event.get("referrer") or "")
        return event


def plain(event: Event) -> Event:
    """A row for Parquet: numbers as doubles, texts, times; a value of another type is left out, as by Spark."""
    row = {}
    for name, value in event.items():
        if name in NUMBERS:
            row[name] = float(value) if isinstance(value, int | float) else None
        elif value is None or isinstance(value, TEXTS):
            row[name] = value
    return row


def line_value(event: Event) -> float:
    """Of a purchase line in euros; nothing for other events."""
    if event["event_type"] != "purchase" or event.get("price_base") is None:
        return 0.0
    return float((event.get("quantity") or 1) * event["price_base"] - (event["discount_base"] or 0.0))


def files_of(shop: Path) -> list[Path]:
    """The shop's events, in order of time."""
    return sorted((shop / "events").iterdir())


def lines_of(files: Iterable[Path]) -> Iterator[list[bytes]]:
    """All lines of one file after the other, some at a time."""
    for path in files:
        with path.open("rb") as lines:
            while batch := lines.readlines(BYTES):
                yield batch
