"""What the versions of a Delta table added: the files of a snapshot, and of each commit after it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.delta.partitions import in_log

NO_STATS: Final = -1
"""Rows of a file that the log does not count."""
_PARTITION: Final = "partition."
_MODE: Final = "delta.columnMapping.mode"


@dataclass(frozen=True)
class Added:
    """A data file.

    Attributes:
        path: below the table.
        rows: -1 where the table's log does not say.
        values: of the columns by which the table is partitioned, as the log has them.
    """

    path: str
    rows: int
    values: Mapping[str, str | None] = field(default_factory=dict)


def is_mapped(table: DeltaTable) -> bool:
    """Whether its files name columns otherwise; tables that are older than features do not say so there."""
    return bool(table.metadata().configuration.get(_MODE, "none") != "none")


def snapshot(table: DeltaTable) -> list[Added]:
    """Files of a table as it stands, in the order in which they were written."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.is_empty():
        return []
    ordered = actions.sort("modification_time", "path")
    rows = ordered["num_records"] if "num_records" in ordered.columns else pl.repeat(None, ordered.height, eager=True)
    names = table.metadata().partition_columns
    values = ordered.select(pl.col(_PARTITION + name).alias(name) for name in names).rows() or [()] * ordered.height
    return [
        Added(
            unquote(path),
            NO_STATS if count is None else count,
            {name: in_log(value) for name, value in zip(names, of_file, strict=True)},
        )
        for path, count, of_file in zip(ordered["path"], rows, values, strict=True)
    ]


def added_by(store: Store, version: int, place: str) -> list[Added]:
    """Files that a version added, in the order of its commit; UserError when it took rows away, or its log is gone.

    A compaction moves rows and changes none: it adds nothing.
    """
    try:
        commit = store.get(f"_delta_log/{version:020d}.json")
    except FileNotFoundError:
        raise log_is_gone(version, place) from None
    actions = [json.loads(line) for line in commit.splitlines() if line.strip()]
    if any(action["remove"].get("dataChange", True) for action in actions if "remove" in action):
        raise UserError(
            f"--source: {place}: version {version} takes rows away (delete, update, merge or overwrite); "
            "only a table that is appended to can be followed"
        )
    adds = [action["add"] for action in actions if "add" in action]
    return [
        Added(unquote(add["path"]), _records(add), add.get("partitionValues") or {})
        for add in adds
        if add.get("dataChange", True)
    ]


def log_is_gone(version: int, place: str) -> UserError:
    """A version was not read, and what it added cannot be known any more."""
    return UserError(
        f"--source: {place}: the log of version {version} was removed before it was read; start a new checkpoint"
    )


def _records(add: Mapping[str, Any]) -> int:
    stats = json.loads(add.get("stats") or "{}")
    return int(stats.get("numRecords", NO_STATS))
