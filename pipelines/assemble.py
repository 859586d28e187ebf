"""Put a driver together from a job, its sources and a user's options."""

import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apache_beam.options.pipeline_options import PipelineOptions

from ecompulse.epochs.backup import Backup, require_restored
from ecompulse.epochs.checkpoint import OUTPUTS, Checkpoint, open_checkpoint, refuse_sinks
from ecompulse.epochs.driver import Driver, Settings, Trigger
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.incarnation import OwnStore
from ecompulse.epochs.job import Job
from ecompulse.epochs.plan import CURRENT, Planner
from ecompulse.epochs.protocols import EVENTS, Owner, Sink, Source, Store
from ecompulse.epochs.replay import ReplaySource, reads_as
from ecompulse.epochs.scope import Scope, Workspace
from ecompulse.epochs.watermark import WatermarkPolicy
from ecompulse.io.encryption import bare, below
from ecompulse.io.lock import DriverLock
from ecompulse.io.s3 import storage_options
from ecompulse.io.sinks.delta import DeltaSink
from ecompulse.io.sinks.jsonlines import JsonLinesSink
from ecompulse.io.sinks.warehouse import WarehouseSink
from ecompulse.io.stores import LocalStore
from ecompulse.runners.engine import executor, new_pipeline
from pipelines.flags import Options
from pipelines.launch import WallClock, patience
from pipelines.places import absolute, checkpoint_of, open_place, trigger_of, warehouse_of
from pipelines.report import Report, reporter
from pipelines.spark import check_workers, spark_settings
from pipelines.topics import lasting, topic_sinks

if TYPE_CHECKING:
    from ecompulse.io.prometheus import Exporter


@contextmanager
def assemble(job: Job, sources: Sequence[Source], options: Options, stop: threading.Event) -> Iterator[Driver]:
    """A driver that holds its checkpoint until the context ends."""
    store = open_place("checkpoint", checkpoint_of(job.name, options), options)
    outputs = _outputs(store, options)
    saved = options.checkpoint_backup
    backup = open_place("checkpoint_backup", absolute(saved), options) if saved else None
    sinks = sinks_of(outputs, options)
    # All that a user may have got wrong comes before anything is made.
    pipeline = _pipeline(job.name, options)
    check_workers(pipeline.runner, job.name, options)
    with _held(store), _exporting(job, outputs, options) as exporter:
        if backup:
            patience(job.name, options)(partial(require_restored, store, backup))
        settings = settings_of(job, sources, options)
        checkpoint = patience(job.name, options)(partial(open_checkpoint, store, settings))
        refuse_sinks(store, [sink.name for sink in sinks])
        for place in (store, outputs, backup):
            if place and isinstance(kept := bare(place), LocalStore):
                kept.sweep()  # once per start: a lake has many files
        sources = [*sources, ReplaySource(store, len(sources))]
        own = OwnStore(store, checkpoint.incarnation)
        space = Workspace(own, outputs, job.name, checkpoint.id, options.num_shards, options.instance)
        scope = Scope(pipeline, space, [(reads_as(source.role), source.reader()) for source in sources])
        job.build(scope)
        graph = scope.finish()
        yield Driver(
            owner=_owner(job, checkpoint, options),
            tables=job.tables,
            operators=job.operators,
            checkpoint=checkpoint,
            sources=sources,
            planner=_planner(job, sources, options),
            sinks=sinks,
            run=executor(pipeline, partial(_label, job.name, own)),
            clock=WallClock(),
            settings=_settings(options),
            report=_both(reporter(options.progress), exporter.progress) if exporter else reporter(options.progress),
            graph=graph,
            committed=exporter.committed if exporter else lambda _seal: None,
            backup=Backup(checkpoint, backup, outputs=options.lake == "none") if backup else None,
            stop=stop,
        )


def _owner(job: Job, checkpoint: Checkpoint, options: Options) -> Owner:
    """Whose rows they are; old ones can be replaced as long as there are none of ours."""
    fresh = checkpoint.last_commit() == 0
    return Owner(job.name, checkpoint.id, options.instance, checkpoint.succeeds, options.replace and fresh)


def _label(job: str, store: Store) -> str:
    """What an engine's own page calls the run that is on."""
    return f"{job} epoch {json.loads(store.get(CURRENT))['epoch']}"


@contextmanager
def _exporting(job: Job, outputs: Store, options: Options) -> Iterator["Exporter | None"]:
    """The Prometheus endpoint, while the driver is there."""
    if not options.metrics_port:
        yield None
        return
    from ecompulse.io.prometheus import Exporter

    exporter = Exporter(job.name, outputs)
    end = exporter.serve(options.metrics_port, options.metrics_host)
    try:
        yield exporter
    finally:
        end()


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


def _pipeline(job: str, options: Options) -> Any:
    """An empty pipeline; UserError for a runner or a flag's value that Beam refuses."""
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):  # Beam's own parser prints its usage, all of it
            PipelineOptions(list(options.beam)).get_all_options()  # else they are parsed when the first epoch runs
            return new_pipeline(options.runner, options.beam, spark_settings(job, options))
    except SystemExit:
        last = complaint.getvalue().strip().rpartition("\n")[2]
        raise UserError(last.rpartition("error: ")[2].removeprefix("argument ")) from None
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--runner: {options.runner}: {str(error).splitlines()[0]}") from None


def settings_of(job: Job, sources: Sequence[Source], options: Options) -> dict[str, Any]:
    """What may not change in the life of a checkpoint."""
    roles = [source.role for source in sources]
    return {
        "job": job.name,
        "sources": [lasting(source.uri) for source in sources],
        **({"roles": roles} if set(roles) != {EVENTS} else {}),
        "num_shards": options.num_shards,
        **({"instance": options.instance} if options.instance is not None else {}),
        "operators": {operator.name: operator.kernel.version for operator in job.operators},
        **{flag: value for operator in job.operators for flag, value in operator.fixed.items()},
    }


def sinks_of(outputs: Store, options: Options) -> list[Sink]:
    """The sinks, in the order in which an epoch is published."""
    sinks: list[Sink] = []
    if options.lake != "none":
        sinks.append(DeltaSink(outputs, storage_options(outputs.root, options.s3_endpoint)))
    if options.warehouse != "none":
        sinks.append(WarehouseSink(warehouse_of(options), outputs))
    folders = [absolute(uri.removeprefix("jsonl:").removeprefix("//")) for uri in options.sink if "jsonl:" in uri]
    return [*sinks, *(JsonLinesSink(folder, outputs) for folder in folders), *topic_sinks(options, outputs)]


def _outputs(store: Store, options: Options) -> Store:
    """Where workers leave the files of tables: the lake, or the checkpoint where there is none."""
    if options.lake != "none":
        return open_place("lake", absolute(options.lake), options)
    return below(store, OUTPUTS)


def _planner(job: Job, sources: Sequence[Source], options: Options) -> Planner:
    endless = isinstance(trigger_of(options), int)
    return Planner(sources, _policy(options), job.operators, drain=options.drain, endless=endless)


def _policy(options: Options) -> WatermarkPolicy:
    return WatermarkPolicy(options.watermark_delay, options.idle_after, options.idle_advance)


def _settings(options: Options) -> Settings:
    trigger = trigger_of(options)
    return Settings(
        trigger=Trigger(trigger / 1000 if isinstance(trigger, int) else None, trigger == "once"),
        max_rows=options.max_records_per_epoch,
        num_shards=options.num_shards,
        keep_epochs=options.keep_epochs,
        run_attempts=options.epoch_attempts,
        publish_attempts=options.publish_attempts,
        max_dead_ratio=options.max_dead_ratio,
        accept_clock=options.accept_clock,
    )
