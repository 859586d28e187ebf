"""The driver: plan, run, seal, publish, commit, one epoch after the other."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ecompulse.epochs.adaptive_batch import FIRST_ROWS, next_limit
from ecompulse.epochs.audit import Graph, misfits, summary
from ecompulse.epochs.backup import Backup
from ecompulse.epochs.bad_input import check_dead
from ecompulse.epochs.checkpoint import Checkpoint, positions_after
from ecompulse.epochs.clock_check import check_ahead, check_behind, check_written
from ecompulse.epochs.driver_settings import Settings
from ecompulse.epochs.errors import JobError, Superseded
from ecompulse.epochs.failures import FailureLog
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.latency import measure
from ecompulse.epochs.manifest import Manifest, read_manifest
from ecompulse.epochs.plan import CURRENT, Draft, Plan, Planner, Position
from ecompulse.epochs.progress import Stopwatch, progress_of
from ecompulse.epochs.protocols import Clockwork, Source
from ecompulse.epochs.publish import Publisher
from ecompulse.epochs.replay import reads_as
from ecompulse.epochs.retry_policy import RetryPolicy
from ecompulse.epochs.seal import Seal, sealed
from ecompulse.epochs.sealing import content_of
from ecompulse.epochs.sinks import Outbox, Owner, Sink
from ecompulse.epochs.steps import Step, reach
from ecompulse.epochs.telemetry import Describe

Kept = TypeVar("Kept")


@dataclass
class Driver:
    """Runs a job on a checkpoint until its input or its time ends.

    Attributes:
        owner: owner of the rows.
        run: executes the job's pipeline for the current plan; returns when it is done.
        during: entered for each epoch, from its plan to its commit: what an engine arranges in the driver's process.
        report: takes the progress of each epoch.
        backup: gets each sealed epoch before any sink.
        outbox: delivers the rows of the alert tables.
        graph: of the job's pipeline: its tables and operators, and the sums by which each run is audited.
        committed: called with the seal of each committed epoch, to show what is in its files.
        turned: called after each pass of the loop: an epoch was committed, or there was nothing to do.
        failing: called with how many attempts have failed in a row; with 0 after each pass of the loop.
        describe: how the progress shows the gauges of each part of the job, by name of the part.
        totals: rows read (`input`) and written per table since the start.
    """

    owner: Owner
    checkpoint: Checkpoint
    sources: Sequence[Source]
    planner: Planner
    sinks: Sequence[Sink]
    run: Callable[[], None]
    clock: Clockwork
    settings: Settings
    report: Callable[[Mapping[str, Any]], None]
    graph: Graph
    backup: Backup | None = None
    outbox: Outbox | None = None
    during: Callable[[], AbstractContextManager[None]] = nullcontext
    committed: Callable[[Seal], None] = lambda _seal: None
    turned: Callable[[], None] = lambda: None
    failing: Callable[[int], None] = lambda _attempts: None
    describe: Mapping[str, Describe] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    totals: Counter[str] = field(default_factory=Counter)
    _measured: Mapping[str, Any] = field(default_factory=dict)
    _attempts: int = 0
    _rows: int = FIRST_ROWS
    _failures: FailureLog = field(init=False)

    def __post_init__(self) -> None:
        self._failures = FailureLog(self.checkpoint, self.clock.now, self.failing)

    def start(self) -> int:
        """Finish what an earlier driver left, then run epochs; returns how many were committed.

        Superseded when a newer driver has started: any other failure is then a consequence of that.
        """
        try:
            return self._start()
        except Superseded:
            raise
        except Exception as error:
            self.checkpoint.check_fencing_token()
            self._failures.ended(error)
            raise

    def _start(self) -> int:
        self._publisher.open()
        at, pending = self._keep(self._position, Stopwatch())
        first = at.epoch
        if pending is not None:
            self._finish(pending, Stopwatch())
            at.advance(pending)
        while not self.stop.is_set():
            began = self.clock.now()
            ran = self._epoch(at)
            self.turned()
            self._failures.passed()
            if self.outbox and ran is None:
                self._keep(self.outbox.deliver, Stopwatch())
            if self.settings.trigger.once and ran and ran.ranges:
                self._close(at)
                break
            if self.settings.trigger.interval is None:
                if ran is None:
                    break
            elif ran is None or not ran.backlog:
                elapsed = (self.clock.now() - began) / 1000
                self.clock.wait(max(0.0, self.settings.trigger.interval - elapsed), self.stop)
        if self.outbox and not self.stop.is_set():
            self._keep(self.outbox.finish, Stopwatch())
        return at.epoch - first

    def _close(self, at: Position) -> None:
        """After the one epoch of `once`: only what its watermark or a drain closes."""
        while not self.stop.is_set() and self._epoch(at, rows=0):
            pass

    def _position(self) -> tuple[Position, Seal | None]:
        """Where the job is, and an epoch that was sealed but not committed."""
        last = self.checkpoint.last_commit()
        at = Position.start(len(self.sources))
        if last:
            seal = sealed(self.checkpoint.store, last)
            known = positions_after(self.checkpoint.store, last)
            at.sources = [*known, *at.sources[len(known) :]]
            at.advance(seal)
            self._measured = self.checkpoint.progress_of(last).get("measured", {})
        return at, self.checkpoint.seal_of(last + 1)

    def _epoch(self, at: Position, rows: int | None = None) -> Seal | None:
        """One epoch; None when there was nothing to do."""
        with self.during():
            return self._whole_epoch(at, rows)

    def _whole_epoch(self, at: Position, rows: int | None) -> Seal | None:
        watch = Stopwatch()
        ran = self._persist(partial(self._run, at, rows, watch), self.settings.run_attempts, watch.retries, "run")
        if ran is None:
            return None
        draft, plan, manifest = ran
        reach(Step.RAN)
        self._rows = next_limit(self._rows, manifest.counts.get("input", 0), watch.durations["run"])
        reach(Step.BEFORE_SEAL)
        with watch.phase("seal"):
            content = content_of(at, draft, plan, manifest, self.graph, self.checkpoint.fencing_token)
            seal = self._keep(partial(self.checkpoint.write_seal, content), watch)
        reach(Step.SEALED)
        self._finish(seal, watch)
        at.advance(seal)
        return seal

    def _run(self, at: Position, rows: int | None, watch: Stopwatch) -> tuple[Draft, Plan, Manifest] | None:
        """Plan an epoch and run it, unsealed; None when there was nothing to do."""
        self.checkpoint.check_fencing_token()  # an idle driver must notice, too
        watch.durations.pop("run", None)  # of an attempt that failed
        with watch.phase("plan"):
            limit = rows if rows is not None else self.settings.max_rows or self._rows
            now = self.clock.now()
            if not self.settings.accept_clock:
                check_behind(now, at)
            draft = self.planner.draft(at, now, limit)
            if draft is None:
                return None
            if not self.settings.accept_clock:
                check_written(draft, self.sources)
            plan = self._write_plan(at, draft)
        reach(Step.PLANNED)
        with watch.phase("run"):
            self.run()
            self.checkpoint.check_fencing_token()  # else workers may have run the plan of our successor
            manifest = read_manifest(self.checkpoint.store, plan.folder)
        lines = misfits(plan, manifest, self.graph)
        if lines:
            raise JobError(f"epoch {plan.epoch} was not sealed, its run does not add up: {summary(lines)}")
        check_dead(manifest, self.sources, self.settings.max_dead_ratio)
        if not self.settings.accept_clock:
            check_ahead(draft, manifest, self.sources)
        return draft, plan, manifest

    def _write_plan(self, at: Position, draft: Draft) -> Plan:
        self._attempts += 1
        epoch = at.epoch + 1
        shards = range(self.settings.num_shards)
        plan = Plan(
            epoch=epoch,
            attempt=f"{self.checkpoint.fencing_token:04d}.{self._attempts:04d}",
            clock=draft.clock(epoch),
            splits=draft.splits,
            roles=[reads_as(self.sources[split.source].role) for split in draft.splits],
            watermarks={operator.name: draft.watermark_of(operator, at) for operator in self.graph.operators},
            state={
                operator.name: {str(shard): at.state.get(operator.name, {}).get(str(shard)) for shard in shards}
                for operator in self.graph.operators
            },
            measured=self._measured,
        )
        store = FencedStore(self.checkpoint.store, self.checkpoint.fencing_token)
        store.put(f"{plan.folder}/plan.json", plan.dump())
        current = {"folder": plan.folder, "epoch": epoch, "attempt": plan.attempt}
        store.put(CURRENT, json.dumps(current).encode())
        return plan

    def _finish(self, seal: Seal, watch: Stopwatch) -> None:
        """Save a sealed epoch, publish it into every sink, then commit it; safe to repeat."""
        self._publisher.save(seal, watch)
        self._publisher.publish(seal, watch)
        progress = progress_of(seal, self.owner, watch, self.sources, self.sinks, self.describe)
        self._measured = progress["measured"] = measure(seal.ages, seal.now, max(seal.now, self.clock.now()))
        with watch.phase("commit"):
            self._keep(partial(self.checkpoint.write_commit, seal.epoch, progress), watch)
        reach(Step.COMMITTED)
        self.totals.update({"input": progress["numInputRows"], **progress["sink"]["tables"]})
        self.report(progress)
        self.committed(seal)
        self._publisher.committed(seal, self.settings.keep_epochs, watch)

    def _keep(self, body: Callable[[], Kept], watch: Stopwatch) -> Kept:
        """Write to the checkpoint, which may be far away: again and again, like everything that is to be published."""
        return self._persist(body, self.settings.publish_attempts, watch.retries, "checkpoint")

    @property
    def _persist(self) -> RetryPolicy:
        return RetryPolicy(self.clock, self.stop, self._failures.failed)

    @property
    def _publisher(self) -> Publisher:
        attempts = self.settings.publish_attempts
        return Publisher(
            self.checkpoint,
            self.owner,
            self.graph.tables,
            self.sinks,
            self.backup,
            self._persist,
            attempts,
            self.outbox,
        )
