"""The same enrichment as a per-element Beam pipeline, written well: what the column pipeline is compared with.

`python -m benchmarks.per_element FOLDER`. One JSON line is one element: parsed by the standard library's C parser,
checked, looked up in dictionaries, its address in the same database by the same C reader, its user agent by the same
parser behind a cache, its amounts in Decimal; rows are collected per bundle and written as Parquet.
"""

import json
import sys
import tempfile
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
import maxminddb
import polars as pl
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from ecompulse.kernels.enrich.device import parse_agents

REQUIRED: Final = ("event_id", "event_type", "event_time")
MONEY: Final = ("price", "discount", "amount", "tax", "shipping")


class Enrich(beam.DoFn):
    """All steps for one event."""

    def __init__(self, shop: str, database: str | None) -> None:
        """Paths only."""
        self._shop = Path(shop)
        self._database = database

    def setup(self) -> None:
        """Load what is looked up."""
        self._users = {row["user_id"]: row for row in pl.read_parquet(self._shop / "users.parquet").to_dicts()}
        self._products = {row["product_id"]: row for row in pl.read_parquet(self._shop / "products.parquet").to_dicts()}
        rates = pl.read_csv(self._shop / "rates.csv", infer_schema=False)
        self._rates = {(row["date"], row["currency"]): Decimal(row["rate"]) for row in rates.to_dicts()}
        self._geo = maxminddb.open_database(self._database) if self._database else None
        self._agent = lru_cache(100_000)(lambda agent: parse_agents(pl.Series("key", [agent])).to_dicts()[0])
        self._place = lru_cache(100_000)(self._find)

    def _find(self, ip: str) -> Any:
        try:
            return self._geo.get(ip) if self._geo else None
        except ValueError:
            return None

    @staticmethod
    def _base(amount: int | Decimal, rate: Decimal) -> Decimal | None:
        try:
            return (amount * rate).quantize(Decimal("0.0001"))
        except InvalidOperation:
            return None

    def process(self, element: bytes) -> Iterable[dict[str, Any]]:
        """One enriched event, or nothing for a row that breaks a rule."""
        try:
            event = json.loads(element, parse_float=Decimal)
            if not all(event.get(name) for name in REQUIRED):
                return
            at = event["event_time"]
            moment = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at / 1000)  # noqa: DTZ006
        except (ValueError, TypeError, AttributeError):
            return
        row = {**event, "event_time": moment}
        row |= {f"user_{k}": v for k, v in self._users.get(event.get("user_id"), {}).items()}
        row |= {f"product_{k}": v for k, v in self._products.get(event.get("product_id"), {}).items()}
        row["geo_country"] = (self._place(event.get("ip") or "") or {}).get("country_code")
        row |= {f"device_{k}": v for k, v in self._agent(event.get("user_agent") or "").items()}
        row["campaign_channel"] = "direct" if not event.get("referrer") else "referral"
        rate = self._rates.get((str(moment.date()), event.get("currency")))
        for name in MONEY:
            if rate is not None and isinstance(event.get(name), int | Decimal):
                row[f"{name}_base"] = self._base(event[name], rate)
        yield row


class Write(beam.DoFn):
    """Rows of a bundle to one Parquet file."""

    def start_bundle(self) -> None:
        """Begin a file."""
        self._rows: list[dict[str, Any]] = []

    def process(self, element: dict[str, Any]) -> None:
        """Keep a row."""
        self._rows.append({name: value for name, value in element.items() if name != "properties"})

    def finish_bundle(self) -> None:
        """Write the file."""
        if self._rows:
            texts = [{name: str(value) for name, value in row.items()} for row in self._rows]
            pl.DataFrame(texts, infer_schema_length=None).write_parquet(
                Path(tempfile.gettempdir(), "per_element.parquet")
            )


def main() -> None:
    """Run it."""
    shop, database = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    files = sorted(str(path) for path in Path(shop, "events").glob("*.jsonl"))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        (
            pipeline
            | beam.Create(files)
            | beam.Reshuffle()
            | beam.FlatMap(lambda path: Path(path).read_bytes().splitlines())
            | beam.ParDo(Enrich(shop, database))
            | beam.ParDo(Write())
        )


if __name__ == "__main__":
    main()
