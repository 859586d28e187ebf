"""Rows of a sealed epoch as Kafka records: JSON values, a key per row, shared among writers by key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.payloads.writing import Encoding
from ecompulse.io.sinks.lines import json_lines
from ecompulse.kernels.hashing import shard_of

ROUTED: Final = "enriched_events"
"""The output that `--route` splits by event type."""

CUT: Final = "raw-bytes"
"""Header of a record whose `raw` was cut: the bytes that it had."""

MOST_RAW: Final = 512 * 1024
"""Bytes of a dead letter's raw form in a record: with base64 and the rest it stays below the brokers' usual 1 MiB."""

_RAW: Final = "raw"
_KEY: Final = "__key"
_UNIT: Final = "__unit"
_TOPIC: Final = "__topic"


@dataclass(frozen=True)
class Records:
    """Records of one topic, in order; a key may be null.

    Attributes:
        cut: for rows whose raw form was cut, by their place: how many bytes it had.
    """

    topic: str
    keys: Sequence[bytes | None]
    values: Sequence[bytes]
    cut: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Naming:
    """Which topic a row goes to.

    Attributes:
        prefix: of every topic.
        routes: event type to topic, before the prefix, for rows of `enriched_events`.
    """

    prefix: str = ""
    routes: Mapping[str, str] = field(default_factory=dict)

    def topic(self, output: str) -> str:
        """Of an output."""
        return f"{self.prefix}{output}"

    def topics(self, tables: Sequence[TableSpec]) -> list[str]:
        """All that rows of these tables may go to."""
        routed = [self.topic(topic) for topic in self.routes.values() if any(spec.name == ROUTED for spec in tables)]
        return list(dict.fromkeys([*(self.topic(spec.name) for spec in tables), *routed]))

    def column(self, table: TableSpec) -> pl.Expr:
        """The topic of each row."""
        usual = pl.lit(self.topic(table.name))
        if table.name != ROUTED or not self.routes:
            return usual
        topics = {kind: self.topic(topic) for kind, topic in self.routes.items()}
        return pl.col("event_type").replace_strict(topics, default=usual, return_dtype=pl.String)


def key_of(table: TableSpec) -> pl.Expr:
    """The key of each row (String): the first of the table's key columns that is not null, else its id."""
    columns = [name for name in (*table.key, "id") if name in table.schema]
    return pl.coalesce(*(pl.col(name).cast(pl.String) for name in columns)) if columns else pl.lit(None, pl.String)


def divide(
    table: TableSpec, rows: pl.DataFrame, naming: Naming, units: int, encoding: Encoding | None = None
) -> dict[int, list[Records]]:
    """Rows of one table, all of an epoch, as records by writer; values are JSON, or as `encoding` writes them.

    Rows of a key go to one writer, in the order of their time, and of equal times as they came; so a key's order holds
    in its partition.
    """
    came = ("source", "source_partition", "source_offset")
    order = [name for name in (table.time, *came, "revision", "id") if name in rows.columns]
    marked = rows.sort(order, maintain_order=True).with_columns(
        key_of(table).alias(_KEY), naming.column(table).alias(_TOPIC)
    )
    marked = marked.with_columns(shard_of(marked[_KEY].fill_null(""), units).alias(_UNIT))
    found: dict[int, list[Records]] = {}
    parts = marked.partition_by(_UNIT, _TOPIC, as_dict=True, include_key=False, maintain_order=True)
    for (unit, topic), whole in sorted(parts.items()):
        part, cut = _cut(whole)
        values = json_lines(part.drop(_KEY)).split(b"\n")[:-1]  # JSON has no line end inside
        if encoding:
            values = encoding.values(str(topic), part.drop(_KEY), values)
        keys = [None if key is None else key.encode() for key in part[_KEY].to_list()]
        found.setdefault(int(unit), []).append(Records(str(topic), keys, values, cut))
    return found


def _cut(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[int, int]]:
    """Rows with a raw form that a record can hold, and the sizes (bytes) of those that were cut."""
    if rows.schema.get(_RAW) != pl.Binary:
        return rows, {}
    sizes = rows[_RAW].bin.size()
    large = (sizes > MOST_RAW).fill_null(value=False).arg_true().to_list()
    if not large:
        return rows, {}
    raw = rows[_RAW].to_list()
    return rows.with_columns(pl.Series(_RAW, [value and value[:MOST_RAW] for value in raw], dtype=pl.Binary)), {
        row: int(sizes[row]) for row in large
    }
