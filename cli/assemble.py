"""Put a driver together from a job, its sources and a user's options."""

import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from apache_beam.options.pipeline_options import PipelineOptions

from ecompulse.cli.alerting import outbox_of
from ecompulse.cli.disks import DISKS, folders_of, spaces_of
from ecompulse.cli.exporting import Shown, exporting
from ecompulse.cli.job import Build
from ecompulse.cli.patience import WallClock, patience
from ecompulse.cli.places import check_warehouse, open_place
from ecompulse.cli.report import Report, reporter
from ecompulse.cli.settings import JobSettings, Places, Settings, absolute
from ecompulse.cli.sinks import open_sinks
from ecompulse.cli.spark import check_workers, spark_settings
from ecompulse.cli.topics import lasting
from ecompulse.epochs.audit import Graph
from ecompulse.epochs.backup import Backup, require_restored
from ecompulse.epochs.checkpoint import OUTPUTS, Checkpoint, find_meta, open_checkpoint, refuse_sinks
from ecompulse.epochs.driver import Driver
from ecompulse.epochs.driver_settings import Settings as DriverSettings
from ecompulse.epochs.driver_settings import Trigger
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.health import Health, ObservedClock
from ecompulse.epochs.plan import CURRENT, Operator, Planner
from ecompulse.epochs.protocols import EVENTS, Source, Store
from ecompulse.epochs.replay import ReplaySource, reads_as
from ecompulse.epochs.scope import Workspace
from ecompulse.epochs.sinks import Owner
from ecompulse.epochs.telemetry import gauges
from ecompulse.epochs.watermark import WatermarkPolicy
from ecompulse.intake import Intake
from ecompulse.io.alerts.outbox import Outbox
from ecompulse.io.encryption import bare, below
from ecompulse.io.lock import DriverLock
from ecompulse.io.lookups.usage import PART as LOOKUPS
from ecompulse.io.lookups.usage import describe_usage
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.config import nearest
from ecompulse.kernels.fraud.quality import PART as MODELS
from ecompulse.runners.cores import cores
from ecompulse.runners.engine import OURS, SPARK, during_epochs, executor, new_pipeline
from ecompulse.scope import JobScope

_NO_RUNNER: Final = "Unexpected pipeline runner"
"""What Beam says of a name that is none; the list behind it has what nobody wants, and not ours."""


def compose(pipeline: Any, space: Workspace, sources: Sequence[Source], intake: Intake, build: Build) -> Graph:
    """Build a job's pipeline; what it consists of."""
    scope = JobScope(pipeline, space, [(reads_as(source.role), source.reader()) for source in sources], intake)
    build(scope)
    return scope.finish()


@contextmanager
def assemble(
    job: str,
    build: Build,
    intake: Intake,
    sources: Sequence[Source],
    settings: Settings[JobSettings],
    stop: threading.Event,
) -> Iterator[Driver]:
    """A driver that holds its checkpoint until the context ends."""
    places, epochs = settings.places, settings.epochs
    patiently = patience(job, epochs.publish_attempts)
    store = open_place("checkpoint", places.checkpoint_of(job), places)
    outputs = _outputs(store, places)
    saved = places.checkpoint_backup
    backup = open_place("checkpoint_backup", absolute(saved), places) if saved else None
    sinks = open_sinks(outputs, settings)
    # All that a user may have got wrong comes before anything is made.
    num_shards = epochs.num_shards or patiently(partial(shards_of, store))
    pipeline = _pipeline(job, settings, num_shards)
    check_workers(pipeline.runner, job, settings)
    sources = [*sources, ReplaySource(store, len(sources))]
    space = Workspace(FencedStore(store), outputs, job, num_shards, places.instance)
    graph = compose(pipeline, space, sources, intake, build)
    patiently(partial(check_warehouse, places, graph.tables))
    health = Health(settings.running.stuck_after / 1000)
    tables = [spec.name for spec in graph.tables]
    spaces = partial(spaces_of, folders_of(store, outputs, backup, places))
    shown = Shown(job, store.root, outputs, tables, spaces)
    with _held(store), exporting(shown, health, settings.running) as exporter, ExitStack() as ends:
        if backup:
            patiently(partial(require_restored, store, backup))
        fixed = fixed_settings(job, sources[:-1], graph.operators, num_shards, places.instance)
        checkpoint = patiently(partial(open_checkpoint, store, fixed))
        refuse_sinks(store, [sink.name for sink in sinks])
        for place in (store, outputs, backup):
            if place and isinstance(kept := bare(place), LocalStore):
                kept.sweep()  # once per start: a lake has many files
        space.open(checkpoint)
        outbox = outbox_of(settings.alerts, store, outputs, backup)
        printed = reporter(settings.running.progress)
        ends.callback(_close, [*sources, *sinks])
        yield Driver(
            owner=_owner(job, checkpoint, settings),
            checkpoint=checkpoint,
            sources=sources,
            planner=_planner(graph, sources, settings),
            sinks=sinks,
            run=executor(pipeline, partial(_label, job, space.checkpoint)),
            during=during_epochs(pipeline),
            clock=ObservedClock(WallClock(), health),
            settings=_settings(settings, num_shards),
            report=_with_alerts(outbox, _both(printed, exporter.progress) if exporter else printed),
            graph=graph,
            committed=exporter.committed if exporter else lambda _seal: None,
            turned=health.turned,
            failing=exporter.failing if exporter and isinstance(settings.trigger, int) else lambda _attempts: None,
            describe={LOOKUPS: describe_usage, MODELS: gauges, DISKS: lambda _facts: spaces()},
            outbox=outbox,
            backup=Backup(checkpoint, backup, outputs=places.lake == "none") if backup else None,
            stop=stop,
        )


def _owner(job: str, checkpoint: Checkpoint, settings: Settings[JobSettings]) -> Owner:
    """Whose rows they are; old ones can be replaced as long as there are none of the job's own."""
    replaces = settings.outputs.replace and checkpoint.last_commit() == 0
    return Owner(job, checkpoint.id, settings.places.instance, checkpoint.succeeds, replaces, checkpoint.last_seal())


def _close(parts: Sequence[object]) -> None:
    """End the connections of sources and sinks that keep some: a process may run many jobs."""
    for part in parts:
        close = getattr(part, "close", None)
        if close is not None:
            with suppress(Exception):  # what is broken may not close; the job is over all the same
                close()


def _label(job: str, store: Store) -> str:
    """What an engine's own page calls the run that is on."""
    return f"{job} epoch {json.loads(store.get(CURRENT))['epoch']}"


def _with_alerts(outbox: Outbox | None, report: Report) -> Report:
    """Progress that says what was told, and what waits."""
    if outbox is None:
        return report
    return lambda progress: report({**progress, "alerts": outbox.told()})


def _both(first: Report, second: Report) -> Report:
    def tell(progress: Mapping[str, Any]) -> None:
        first(progress)
        second(progress)

    return tell


@contextmanager
def _held(store: Store) -> Iterator[None]:
    """No other living driver works on the checkpoint, where there is a disk to say so on."""
    if not isinstance(bare(store), LocalStore):
        yield
        return
    lock = DriverLock(Path(store.root))
    try:
        lock.acquire()
    except OSError as error:
        raise UserError(f"--checkpoint: {store.root}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def _pipeline(job: str, settings: Settings[JobSettings], num_shards: int) -> Any:
    """An empty pipeline; UserError for a runner or a flag's value that Beam refuses."""
    complaint, runner = io.StringIO(), settings.running.runner
    try:
        with redirect_stderr(complaint):  # Beam's own parser prints its usage, all of it
            PipelineOptions(list(settings.beam)).get_all_options()  # else they are parsed when the first epoch runs
            spark = spark_settings(job, settings.spark, num_shards) if runner == SPARK else None
            return new_pipeline(runner, settings.beam, spark)
    except SystemExit:
        last = complaint.getvalue().strip().rpartition("\n")[2]
        raise UserError(last.rpartition("error: ")[2].removeprefix("argument ")) from None
    except (ValueError, ImportError, AttributeError) as error:
        said = str(error).splitlines()[0]
        if said.startswith(_NO_RUNNER):
            near = nearest(runner, OURS).partition(";")[0].rstrip("?")
            said = f"no such runner{near}; there are {', '.join(OURS)} and Beam's own"
        raise UserError(f"--runner: {runner}: {said}") from None


def shards_of(store: Store) -> int:
    """Those of a checkpoint: a machine that goes on with it may have other cores than the one that began it."""
    meta = find_meta(store)
    return int(meta["settings"]["num_shards"]) if meta else cores()


def fixed_settings(
    job: str, sources: Sequence[Source], operators: Sequence[Operator], num_shards: int, instance: str | None
) -> dict[str, Any]:
    """What may not change in the life of a checkpoint."""
    roles = [source.role for source in sources]
    return {
        "job": job,
        "sources": [lasting(source.uri) for source in sources],
        **({"roles": roles} if set(roles) != {EVENTS} else {}),
        "num_shards": num_shards,
        **({"instance": instance} if instance is not None else {}),
        "operators": {operator.name: operator.kernel.version for operator in operators},
        **{flag: value for operator in operators for flag, value in operator.fixed.items()},
    }


def _outputs(store: Store, places: Places) -> Store:
    """Where workers leave the files of tables: the lake, or the checkpoint where there is none."""
    if places.lake != "none":
        return open_place("lake", absolute(places.lake), places)
    return below(store, OUTPUTS)


def _planner(graph: Graph, sources: Sequence[Source], settings: Settings[JobSettings]) -> Planner:
    time = settings.time
    policy = WatermarkPolicy(time.watermark_delay, time.idle_after, time.idle_advance)
    return Planner(sources, policy, graph.operators, drain=settings.epochs.drain, endless=settings.endless)


def _settings(settings: Settings[JobSettings], num_shards: int) -> DriverSettings:
    trigger, epochs = settings.trigger, settings.epochs
    return DriverSettings(
        trigger=Trigger(trigger / 1000 if isinstance(trigger, int) else None, trigger == "once"),
        max_rows=epochs.max_records_per_epoch,
        num_shards=num_shards,
        keep_epochs=epochs.keep_epochs,
        run_attempts=epochs.epoch_attempts,
        publish_attempts=epochs.publish_attempts,
        max_dead_ratio=settings.inputs.max_dead_ratio,
        accept_clock=settings.time.accept_clock,
    )
