"""A shop written to a folder: events, side tables, update streams, labels and the truth."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import polars as pl

from ecompulse.simulator.atlas import write_atlas
from ecompulse.simulator.encode import payload
from ecompulse.simulator.episode import NO_LABELS
from ecompulse.simulator.settings import SettingsError
from ecompulse.simulator.shop import Shop
from ecompulse.simulator.truth import Truth

_ISO: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"
_TIMES: Final = ("signup_time", "updated_at", "since", "until", "label_time")
_FILE_TIME: Final = "%Y%m%dT%H%M%S"


def json_lines(frame: pl.DataFrame) -> bytes:
    """A frame as JSON lines: times (Int64 ms) in ISO 8601, decimals as numbers."""
    times = [pl.col(name).cast(pl.Datetime("ms")).dt.to_string(_ISO) for name in _TIMES if name in frame.columns]
    decimals = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    if not decimals:
        return frame.with_columns(times).write_ndjson().encode()
    text = frame.with_columns(times).with_columns(pl.col(decimals).cast(pl.String))
    lines = text.write_ndjson()
    for name in decimals:
        lines = _unquoted(lines, name)
    return lines.encode()


def _unquoted(lines: str, name: str) -> str:
    """`lines` with the numbers of one field without quotes: Polars writes decimals as text."""
    column = pl.Series([lines]).str.replace_all(rf'"{name}":"(-?[0-9.]+)"', f'"{name}":${{1}}')
    return str(column[0])


def typed(frame: pl.DataFrame) -> pl.DataFrame:
    """A side table for Parquet: times as UTC timestamps."""
    kind = pl.Datetime("ms", "UTC")
    return frame.with_columns(pl.col(name).cast(kind) for name in _TIMES if name in frame.columns)


def write_side(shop: Shop, folder: Path) -> None:
    """Write what is known at the start: users, products (Parquet and JSON lines), rates (CSV), places (mmdb)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("users", shop.users), ("products", shop.products)):
        typed(table).write_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.jsonl").write_bytes(json_lines(table))
    shop.rates.write_csv(folder / "rates.csv")
    write_atlas(folder / "places.mmdb")


@dataclass
class Versions:
    """A stream of versions by `updated_at` (UTC ms), handed out as time passes.

    Attributes:
        rest: what is still to come.
    """

    rest: pl.DataFrame

    def add(self, more: pl.DataFrame) -> None:
        """Take more versions, none of them before what was handed out already."""
        self.rest = pl.concat([self.rest, more]).sort("updated_at", "user_id", maintain_order=True)

    def until(self, moment: int | None) -> pl.DataFrame:
        """Versions before `moment` (UTC ms; None: all), which are then gone from here."""
        due = self.rest if moment is None else self.rest.filter(pl.col("updated_at") < moment)
        self.rest = self.rest[due.height :]
        return due


def write(shop: Shop, folder: Path) -> Truth:
    """Write all of a shop; returns its truth.

    `events/events-<start of slice>.jsonl` (in order of arrival, by name too), `users` and `products` as
    `.parquet` and `.jsonl`, `user_updates.jsonl`, `product_updates.jsonl` (by `updated_at`), `rates.csv`
    (date, currency, EUR per unit), `labels.jsonl` (by `label_time`), `truth.json`.

    Raises:
        SettingsError: the folder already holds events; nothing is overwritten or mixed.
    """
    events = folder / "events"
    if events.exists() and any(events.iterdir()):
        raise SettingsError(f"--out: {events} is not empty: remove it, or name another folder")
    events.mkdir(parents=True, exist_ok=True)
    write_side(shop, folder)
    (folder / "product_updates.jsonl").write_bytes(json_lines(shop.product_updates))
    labels = [NO_LABELS]
    with (folder / "user_updates.jsonl").open("wb") as users:
        truth = sum(_chunks_written(shop, events, users, labels), Truth())
    told = pl.concat(labels).sort("label_time", maintain_order=True)
    (folder / "labels.jsonl").write_bytes(json_lines(told))
    (folder / "truth.json").write_text(json.dumps(truth.to_json(), indent=2) + "\n", encoding="utf-8")
    return truth


def _chunks_written(shop: Shop, events: Path, users: IO[bytes], labels: list[pl.DataFrame]) -> Iterator[Truth]:
    updates = Versions(shop.user_changes)
    for chunk in shop.chunks():
        begin = datetime.fromtimestamp(chunk.since / 1000, UTC)
        name = f"events-{begin.strftime(_FILE_TIME)}{chunk.since % 1000:03d}Z.jsonl"
        (events / name).write_bytes(payload(chunk.lines))
        labels.append(chunk.labels)
        updates.add(chunk.accounts)
        users.write(json_lines(updates.until(chunk.until)))
        yield chunk.truth
    users.write(json_lines(updates.until(None)))


def enrichment(shop: Path) -> dict[str, Any]:
    """Settings of `--enrich` for a shop in a folder: its own users, products, places and rates."""
    return {
        "steps": {
            "user": {"lookup": f"parquet:{shop / 'users.parquet'}?key=user_id"},
            "product": {"lookup": f"parquet:{shop / 'products.parquet'}?key=product_id"},
            "geo": {"database": str(shop / "places.mmdb")},
            "campaign": {"own_domains": ["shop.example"]},
            "currency": {"base": "EUR", "rates": str(shop / "rates.csv")},
        }
    }
