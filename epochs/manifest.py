"""The manifest: what one run has done, gathered from all its workers into one file, written once."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from ecompulse.epochs.errors import JobError
from ecompulse.epochs.latency import add_ages
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.usage import add_usage


@dataclass
class Manifest:
    """What a run has done.

    Attributes:
        tops: largest event time (ms) read per source partition, None where there was no event.
        rows: rows read per source partition.
        files: per table, what was written.
        state: per operator and shard, the new head.
        counts: rows read (`input`) and rows per decoded output.
        ages: events by bucket of their age when the epoch was planned (see `latency`).
        lookups: what look-ups did (see `usage`).
        models: what is known of models that learn, by name.
    """

    tops: dict[str, int | None] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    ages: dict[str, int] = field(default_factory=dict)
    lookups: dict[str, Any] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)

    def add(self, fact: dict[str, Any]) -> None:
        """Take in one fact."""
        if "read" in fact:
            top, before = fact["top"], self.tops.get(fact["read"])
            tops = [time for time in (top, before) if time is not None]
            self.tops[fact["read"]] = max(tops, default=None)
            self.rows[fact["read"]] = self.rows.get(fact["read"], 0) + fact["rows"]
            self._count("input", fact["rows"])
            add_ages(self.ages, fact["ages"])
            for name, rows in fact["counts"].items():
                self._count(name, rows)
        elif "table" in fact:
            self.files.setdefault(fact["table"], []).append(fact["file"])
        elif "operator" in fact:
            self.state.setdefault(fact["operator"], {})[str(fact["shard"])] = fact["head"]
        elif "lookups" in fact:
            add_usage(self.lookups, fact)
        elif "models" in fact:
            self.models.update(fact["models"])

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
