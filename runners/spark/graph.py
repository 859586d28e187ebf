"""The Spark job of a run: one shuffle per stage, the last stages' records to the driver."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from apache_beam.portability.api import metrics_pb2

from ecompulse.runners.spark.beam_internals import consolidate
from ecompulse.runners.spark.stamps import Verify
from ecompulse.runners.spark.task import Record, StageTask, check
from ecompulse.runners.spark.translation import Stage, Translated

if TYPE_CHECKING:
    from pyspark import RDD, Broadcast, SparkContext


def collect(context: "SparkContext", shared: "Broadcast[Translated]", parallelism: int, verify: Verify) -> list[Record]:
    """Run the pipeline as one Spark job: the records of the stages that nothing follows, checked.

    Each stage has one shuffle, whatever the number of its outputs and of those who read them, so that it is computed
    once; its records are routed in the task that makes them, and unions are of shuffled data only, so that each Spark
    task is one call of Python. The graph is made anew for each run: Spark would not compute the same one again.

    Raises:
        Recomputed: the records come from different attempts of a task.
    """
    stages = shared.value.stages
    tasks = {stage.number: stage.tasks(parallelism) for stage in stages}
    shuffled: dict[int, RDD[Any]] = {}
    last: dict[int, RDD[Any]] = {}
    for stage in stages:
        task = StageTask(shared, stage.number, parallelism, {number: tasks[number] for number in stage.parents}, verify)
        with _named(context, stage.name):
            done = _before(context, stage, shuffled, parallelism).mapPartitionsWithIndex(task)
            if stage.outputs:
                shuffled[stage.number] = done.partitionBy(parallelism, itself)
            else:
                last[stage.number] = done
    found = context.union(list(last.values())) if len(last) > 1 else next(iter(last.values()))
    with _named(context, "Results to the driver"):
        records = [record for _, record in found.collect()]
    check(records, {number: tasks[number] for number in last}, verify)
    return records


def _before(
    context: "SparkContext", stage: Stage, shuffled: Mapping[int, "RDD[Any]"], parallelism: int
) -> "RDD[tuple[int, Record]]":
    """What a stage reads: records of its parents, those for a task in one partition."""
    parents = [shuffled[number] for number in stage.parents]
    if not parents:
        return context.parallelize([], 1)
    both = context.union(parents) if len(parents) > 1 else parents[0]
    if both.getNumPartitions() != parallelism:
        raise RuntimeError(f"stage {stage.name}: {both.getNumPartitions()} partitions instead of {parallelism}")
    return both


def itself(task: int) -> int:
    """Partition of a record: records are routed already. One function, by which Spark knows that unions are aligned."""
    return task


@contextmanager
def _named(context: "SparkContext", name: str) -> Iterator[None]:
    """Spark's page shows a stage by where it was called from; better by its steps."""
    from pyspark.traceback_utils import SCCallSiteSync  # noqa: PLC0415  # an extra

    with SCCallSiteSync(context):  # so that PySpark does not name it again inside
        context.setLocalProperty("callSite.short", name)
        yield


@contextmanager
def job_group(context: "SparkContext", name: str) -> Iterator[None]:
    """Jobs started inside have a name on Spark's page, and can be killed there together."""
    context.setJobGroup(name, name, interruptOnCancel=True)
    try:
        yield
    finally:
        for key in ("spark.jobGroup.id", "spark.job.description"):
            context.setLocalProperty(key, None)  # type: ignore[arg-type]  # what PySpark itself does to take one away


def metrics_of(records: Sequence[Record], stages: Sequence[Stage]) -> dict[str, list[Any]]:
    """The user's metrics by stage, as MonitoringInfos: those of the attempts that count, each once."""
    told = {key: infos for record in records for key, infos in record.metrics.items()}
    by_stage: dict[int, list[Any]] = {}
    for (stage, _), infos in sorted(told.items()):
        by_stage.setdefault(stage, []).extend(metrics_pb2.MonitoringInfo.FromString(info) for info in infos)
    return {stages[number].name: list(consolidate(infos)) for number, infos in by_stage.items()}
