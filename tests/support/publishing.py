"""Sealed epochs for a sink, in this process or in one that is to be killed.

Epoch N holds rows N * ROWS onwards of a numbered sequence per key. Run as a program: publish epochs, one after the
other, and say which are through.
"""

import hashlib
import io
import sys
from pathlib import Path
from typing import Any, Final

import polars as pl

from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.io.kafka.records import Naming
from ecompulse.io.kafka.sink import KafkaSink
from ecompulse.io.stores import LocalStore

KEYS: Final = 7
ROWS: Final = 40
SCHEMA: Final = pl.Schema({
    "id": pl.String(), "user_id": pl.String(), "number": pl.Int64(), "event_type": pl.String(),
    "event_time": pl.Datetime("ms", "UTC"),
})  # fmt: skip
EVENTS: Final = TableSpec("enriched_events", SCHEMA, "event_time", key=("user_id",))
ALERTS: Final = TableSpec("alerts", SCHEMA, "event_time")
EMPTY: Final = TableSpec("empty", SCHEMA, "event_time")
TABLES: Final = (EVENTS, ALERTS, EMPTY)
CHECKPOINT: Final = "c0ffee"


def rows(epoch: int) -> pl.DataFrame:
    """The epoch's rows, in an order that is not theirs."""
    numbers = range(epoch * ROWS, (epoch + 1) * ROWS)
    frame = pl.DataFrame(
        {
            "id": [f"{number:032x}" for number in numbers],
            "user_id": [f"u{number % KEYS}" for number in numbers],
            "number": list(numbers),
            "event_type": [("page_view", "purchase")[number % 2] for number in numbers],
            "event_time": list(numbers),
        },
        schema={**SCHEMA, "event_time": pl.Int64()},
    )
    return frame.with_columns(pl.col("event_time").cast(SCHEMA["event_time"])).sample(
        fraction=1, shuffle=True, seed=epoch
    )


def seal(store: LocalStore, epoch: int) -> list[tuple[TableSpec, list[DataFile]]]:
    """The epoch's files: two of events, one of alerts, none of the empty table."""
    frame = rows(epoch)
    events = [_file(store, f"events/{epoch}-{half}", frame[half::2]) for half in range(2)]
    return [(EVENTS, events), (ALERTS, [_file(store, f"alerts/{epoch}", frame[:5])]), (EMPTY, [])]


def _file(store: LocalStore, name: str, frame: pl.DataFrame) -> DataFile:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    data = buffer.getvalue()
    store.put(name, data)
    return DataFile(name, frame.height, len(data), hashlib.sha256(data).hexdigest(), "1970-01-01")


def open_sink(bootstrap: str, prefix: str, root: Path, units: int = 2, **more: Any) -> KafkaSink:
    """A sink of a checkpoint, opened."""
    naming, owner = Naming(prefix, more.pop("routes", {})), more.pop("owner", None)
    sink = KafkaSink(f"kafka://{bootstrap}", LocalStore(str(root)), naming, units, **more)
    sink.open(TABLES, owner or Owner("job", CHECKPOINT))
    return sink


def main(bootstrap: str, prefix: str, root: str, units: str, client: str, first: str, last: str) -> None:
    """Publish epochs `first` to `last`; says `through N` after each."""
    sink = open_sink(bootstrap, prefix, Path(root), int(units), client=client)
    for epoch in range(int(first), int(last) + 1):
        sink.publish_epoch(epoch, seal(LocalStore(root), epoch))
        sys.stdout.write(f"through {epoch}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
