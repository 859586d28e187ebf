"""A streaming test reads as a script: add data, advance the clock, crash, restart, check the answer."""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable

from ecompulse.epochs.audit import Graph
from ecompulse.epochs.backup import Backup
from ecompulse.epochs.checkpoint import Checkpoint, open_checkpoint
from ecompulse.epochs.driver import Driver
from ecompulse.epochs.driver_settings import Settings, Trigger
from ecompulse.epochs.errors import Superseded
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.plan import Planner
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.scope import Scope, Workspace
from ecompulse.epochs.sinks import Owner
from ecompulse.epochs.steps import Step, observe
from ecompulse.epochs.watermark import WatermarkPolicy
from ecompulse.io.files import FileSource
from ecompulse.io.sinks.delta import DeltaSink
from ecompulse.io.sinks.jsonlines import JsonLinesSink
from ecompulse.io.stores import LocalStore
from ecompulse.runners.engine import LOCAL, executor, new_pipeline

PROVENANCE = ("epoch", "seen_at", "detected_at", "revision")


class Crashed(BaseException):
    """Stands for a kill: not an Exception, so that nothing handles it."""


@dataclass
class FakeClock:
    """Processing time that moves when told to."""

    at: int = 1_800_000_000_000

    def now(self) -> int:
        return self.at

    def wait(self, seconds: float, stop: threading.Event) -> None:
        self.at += round(seconds * 1000)


@dataclass
class Script:
    """One job over a folder of files, in process."""

    job: Any
    root: Path
    delay: int = 1000
    shards: int = 2
    max_rows: int | None = None
    keep_epochs: int = 3
    drain: bool = True
    backup: Store | None = None
    store: Store | None = None
    lake: Path | None = None
    instance: str | None = None
    replace: bool = False
    runner: str = LOCAL
    clock: FakeClock = field(default_factory=FakeClock)
    progress: list[Any] = field(default_factory=list)
    _files: int = 0

    def add_data(self, rows: Iterable[dict[str, Any]]) -> "Script":
        """One more file of rows."""
        folder = self.root / "input"
        folder.mkdir(parents=True, exist_ok=True)
        self._files += 1
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{self._files:04d}.jsonl").write_text(text)
        return self

    def driver(self) -> Driver:
        """A driver that has just started."""
        store = self.store or LocalStore(str(self.root / "checkpoint"))
        (self.root / "input").mkdir(parents=True, exist_ok=True)
        sources = [FileSource(str(self.root / "input"), 0)]
        checkpoint = open_checkpoint(store, {"job": self.job.name, "num_shards": self.shards})
        run, graph = self._composed(store, checkpoint, sources)
        return Driver(
            owner=Owner(self.job.name, checkpoint.id, self.instance, checkpoint.succeeds, self.replace),
            checkpoint=checkpoint,
            sources=sources,
            planner=Planner(sources, WatermarkPolicy(self.delay, 60_000), graph.operators, drain=self.drain),
            sinks=[
                DeltaSink(LocalStore(str(self.lake or self.root / "lake"))),
                JsonLinesSink(str(self.root / "jsonl"), LocalStore(str(self.lake or self.root / "lake"))),
            ],
            run=run,
            graph=graph,
            clock=self.clock,
            settings=Settings(Trigger(), self.max_rows, self.shards, self.keep_epochs),
            report=self.progress.append,
            backup=Backup(checkpoint, self.backup, outputs=False) if self.backup else None,
        )

    def _composed(
        self, store: Store, checkpoint: Checkpoint, sources: list[FileSource]
    ) -> tuple[Callable[[], None], Graph]:
        outputs = LocalStore(str(self.lake or self.root / "lake"))
        pipeline = new_pipeline(self.runner, [])
        space = Workspace(FencedStore(store), outputs, self.job.name, self.shards, self.instance)
        space.open(checkpoint)
        scope = Scope(pipeline, space, [(source.role, source.reader()) for source in sources])
        self.job.build(scope)
        graph = scope.finish()
        return executor(pipeline), graph

    def run(self) -> "Script":
        """Start a driver and let it run to the end of the input."""
        self.driver().start()
        return self

    def crash_at(self, step: Step, occurrence: int = 1) -> bool:
        """Start a driver that dies when it reaches `step`; whether it got there."""
        left = occurrence

        def die(reached: Step) -> None:
            nonlocal left
            left -= reached == step
            if left <= 0:
                raise Crashed  # whatever the dead driver would do next

        forget = observe(die)
        try:
            self.driver().start()
        except (Crashed, RuntimeError) as error:  # a runner wraps what a worker raised
            if not isinstance(error, Crashed) and Crashed.__name__ not in str(error):
                raise
            return True
        else:
            return False
        finally:
            forget()

    def sleep_at(self, step: Step) -> bool:
        """A driver sleeps at `step` while its successor runs to the end; whether it got there, and was refused then."""
        old, slept = self.driver(), []

        def sleep(reached: Step) -> None:
            if reached is step and not slept:
                slept.append(step)
                self.run()

        forget = observe(sleep)
        try:
            old.start()
        except Superseded as error:
            return bool(slept) and "a newer driver" in str(error)
        else:
            return False
        finally:
            forget()

    def table(self, name: str) -> pl.DataFrame:
        """A table of the lake, without provenance, sorted by all columns."""
        frame = pl.from_arrow(DeltaTable(str((self.lake or self.root / "lake") / name)).to_pyarrow_table())
        assert isinstance(frame, pl.DataFrame)
        return comparable(frame)

    def lines(self, name: str) -> pl.DataFrame:
        """A table of the JSON lines sink, without provenance, sorted."""
        parts = [pl.read_ndjson(path) for path in (self.root / "jsonl").glob(f"{name}-*.jsonl")]
        return comparable(pl.concat(parts))


def comparable(frame: pl.DataFrame) -> pl.DataFrame:
    """What equality of results is about: no provenance columns, a total order of rows and columns."""
    kept = sorted(name for name in frame.columns if name not in (*PROVENANCE, "event_date"))
    return frame.select(kept).sort(kept)
