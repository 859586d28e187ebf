"""The manifest: what one run has done, gathered from all its workers into one file, written once."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.latency import add_ages
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.telemetry import Telemetry, add_telemetry


@dataclass
class Manifest:
    """What a run has done.

    Attributes:
        tops: largest event time (ms) read per source partition, None where there was no event.
        rows: rows read per source partition.
        files: per table, what was written.
        state: per operator and shard, the new head.
        counts: rows read (`input`) and rows per decoded output.
        splits: by index of the split in the plan, the rows of each report of it.
        shards: per operator and shard, how often it was reported.
        loaded: per operator, bytes of state that workers read because they were not in their cache.
        nodes: per node of the pipeline, rows that came `in` and went `out` by tag.
        ages: events by bucket of their age when the epoch was planned (see `latency`).
        told: telemetry that parts of the job have reported (see `telemetry`).
        dead: by source and rule, how many rows are dead letters, and the message of one.
    """

    tops: dict[str, int | None] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    splits: dict[str, list[int]] = field(default_factory=dict)
    shards: dict[str, dict[str, int]] = field(default_factory=dict)
    loaded: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    ages: dict[str, int] = field(default_factory=dict)
    told: Telemetry = field(default_factory=dict)
    dead: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, fact: dict[str, Any]) -> None:
        """Take in one fact."""
        if "node" in fact:
            self._add_node(fact)
        elif "read" in fact:
            self.splits.setdefault(str(fact["split"]), []).append(fact["rows"])
            top, before = fact["top"], self.tops.get(fact["read"])
            tops = [time for time in (top, before) if time is not None]
            self.tops[fact["read"]] = max(tops, default=None)
            self.rows[fact["read"]] = self.rows.get(fact["read"], 0) + fact["rows"]
            self._count("input", fact["rows"])
            add_ages(self.ages, fact["ages"])
            for name, rows in fact["counts"].items():
                self._count(name, rows)
            for rule, told in fact["dead"].items():
                known = self.dead.setdefault(fact["read"].partition("/")[0], {}).setdefault(rule, {**told, "rows": 0})
                known["rows"] += told["rows"]
        elif "table" in fact:
            self.files.setdefault(fact["table"], []).append(fact["file"])
        elif "operator" in fact:
            operator, shard = fact["operator"], str(fact["shard"])
            self.state.setdefault(operator, {})[shard] = fact["head"]
            times = self.shards.setdefault(operator, {})
            times[shard] = times.get(shard, 0) + 1
            self.loaded[operator] = self.loaded.get(operator, 0) + fact["loaded"]
        elif "part" in fact:
            add_telemetry(self.told, fact)

    @property
    def written(self) -> dict[str, int]:
        """Rows by table."""
        return {table: sum(file["rows"] for file in files) for table, files in self.files.items()}

    def came(self, node: str) -> int:
        """Rows that came in to a node."""
        return int(self.nodes.get(node, {}).get("in", 0))

    def went(self, node: str, tag: str) -> int:
        """Rows that a node has handed on under a tag."""
        return int(self.nodes.get(node, {}).get("out", {}).get(tag, 0))

    def _add_node(self, fact: dict[str, Any]) -> None:
        known = self.nodes.setdefault(fact["node"], {"in": 0, "out": {}})
        known["in"] += fact["in"]
        for tag, rows in fact["out"].items():
            known["out"][tag] = known["out"].get(tag, 0) + rows

    def _count(self, name: str, rows: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + rows

    def dump(self) -> bytes:
        """As canonical JSON."""
        for files in self.files.values():
            files.sort(key=lambda file: str(file["path"]))
        return json.dumps(self.__dict__, sort_keys=True).encode()


class WriteManifest(beam.DoFn):
    """Writes the manifest of a run beside its plan; a second execution of the same run changes nothing."""

    def __init__(self, store: Store) -> None:
        """Settings only."""
        self._store = store

    def process(self, element: tuple[int, Iterable[bytes]]) -> None:
        """All facts of the run."""
        manifest, folder = Manifest(), None
        for raw in element[1]:
            fact = json.loads(raw)
            folder = fact.get("folder", folder)
            manifest.add(fact)
        if folder is None:
            raise JobError("the run's plan never reached its manifest")
        self._store.create(f"{folder}/manifest.json", manifest.dump())


def read_manifest(store: Store, folder: str) -> Manifest:
    """The manifest of a finished run."""
    return Manifest(**json.loads(store.get(f"{folder}/manifest.json")))
