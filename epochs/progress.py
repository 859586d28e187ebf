"""Progress: one JSON object per epoch, in the shape of Spark's StreamingQueryProgress."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from ecompulse.epochs.protocols import REPLAY, WAITING, Source
from ecompulse.epochs.retry_policy import Retries
from ecompulse.epochs.seal import Seal
from ecompulse.epochs.sinks import Owner, Sink
from ecompulse.epochs.telemetry import Describe

_NOTHING: Final[Mapping[str, Mapping[str, Any]]] = {"counters": {}, "gauges": {}}


class Stopwatch:
    """Durations of an epoch's phases, in ms, and its retries."""

    def __init__(self) -> None:
        """Start."""
        self.durations: dict[str, int] = {}
        self.retries = Retries()
        self._start = time.monotonic()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the duration of the block."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.durations[name] = self.durations.get(name, 0) + round((time.monotonic() - start) * 1000)

    @property
    def total(self) -> int:
        """Time since the start."""
        return round((time.monotonic() - self._start) * 1000)


def iso(ms: int | None) -> str | None:
    """UTC time as ISO 8601 with milliseconds."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def progress_of(
    seal: Seal,
    owner: Owner,
    watch: Stopwatch,
    sources: Sequence[Source],
    sinks: Sequence[Sink],
    describe: Mapping[str, Describe],
) -> dict[str, Any]:
    """The progress of a published epoch; `describe` shows the telemetry of each part of the job."""
    rows = seal.counts.get("input", 0)
    seconds = max(watch.total, 1) / 1000
    running = max(watch.durations.get("run", watch.total), 1) / 1000
    return {
        "id": owner.checkpoint,
        "runId": f"{owner.checkpoint}-{seal.fencing_token}",
        "name": owner.job,
        "instance": owner.instance,
        "timestamp": iso(seal.now),
        "batchId": seal.epoch,
        "numInputRows": rows,
        "inputRowsPerSecond": round(rows / seconds, 1),
        "processedRowsPerSecond": round(rows / running, 1),
        "durationMs": {**watch.durations, "total": watch.total},
        "eventTime": {"watermark": iso(seal.watermark)},
        "stateOperators": [
            _operator(name, shards, seal.loaded.get(name, 0)) for name, shards in sorted(seal.state.items())
        ],
        "sources": [
            {
                "description": source.uri,
                "role": source.role,
                "ranges": [split for split in seal.ranges if split["source"] == index],
                "numInputRows": sum(rows for name, rows in seal.rows.items() if name.startswith(f"{index}/")),
                **(seal.notes[index] if seal.notes else {}),
            }
            for index, source in enumerate(sources)
            if source.role != REPLAY or any(split["source"] == index for split in seal.ranges)
        ],
        "backlog": seal.backlog
        + sum(sum(notes.get("blocked", {}).values()) + len(notes.get(WAITING, {})) for notes in seal.notes),
        "sink": {
            "description": ", ".join(sink.name for sink in sinks) or "none",
            "numOutputRows": sum(file["rows"] for files in seal.files.values() for file in files),
            "tables": {name: sum(file["rows"] for file in files) for name, files in sorted(seal.files.items())},
        },
        "counts": seal.counts,
        "accounts": seal.accounts,
        "retries": {kind: watch.retries[kind] for kind in ("run", "checkpoint", "backup", "publish")},
        "errors": dict(watch.retries.errors),
        **{part: shown(seal.told.get(part, _NOTHING)) for part, shown in describe.items()},
    }


def _operator(name: str, shards: dict[str, Any], loaded: int) -> dict[str, Any]:
    runs = [run for head in shards.values() if head for runs in head["tables"].values() for run in runs]
    return {
        "operatorName": name,
        "numRowsTotal": sum(run["rows"] for run in runs),
        "stateBytes": sum(run["bytes"] for run in runs),
        "loadedBytes": loaded,
        "numShards": len(shards),
        "numRuns": len(runs),
    }
