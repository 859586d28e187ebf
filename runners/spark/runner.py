"""`PySparkRunner`: Beam's fused stages, executed inside Spark tasks."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner, PipelineState

from ecompulse.runners.spark.beam_internals import RunnerResult
from ecompulse.runners.spark.context import is_local, spark_context
from ecompulse.runners.spark.failures import readable_failures
from ecompulse.runners.spark.graph import collect, job_group, metrics_of
from ecompulse.runners.spark.probe import unreadable
from ecompulse.runners.spark.settings import SparkSettings
from ecompulse.runners.spark.stamps import Verify, sums_of
from ecompulse.runners.spark.translation import Translated, translate

if TYPE_CHECKING:
    from pyspark import Broadcast, SparkContext


class PySparkRunner(PipelineRunner):
    """Runs bounded pipelines on Spark, with the Python that they are written in.

    Beam's own optimiser fuses the pipeline; each stage becomes tasks of one Spark job, which run Beam's bundle
    processor. What is handed on goes through Spark's shuffle as encoded elements, never through the driver. The
    pipeline is translated and sent to workers once, however often it is run; Spark's context is kept for the life of
    the process.

    Runs ParDo with tagged outputs, GroupByKey in windows of any kind, CombinePerKey (lifted), Flatten, Reshuffle, and
    what is composed of these; the user's metrics are in `result.metrics()`. Refuses, by name and before anything is
    started, side inputs, state, timers, splittable DoFns, unbounded sources (Unsupported).

    A run either ends with every element processed in one and the same history, or raises: `TaskFailed` with what a
    worker raised, or `Recomputed` when Spark had to compute lost outputs again that some had read already. Both leave
    whatever the user's functions did outside of Beam, and may be followed by another run.
    """

    verify: Verify = staticmethod(sums_of)

    def __init__(self, settings: SparkSettings | None = None, label: Callable[[], str] = lambda: "pipeline") -> None:
        """`label` says, at the start of each run, what Spark's page is to call it."""
        super().__init__()
        self.settings = settings or SparkSettings()
        self.label = label
        self._translated: tuple[Any, int, Translated] | None = None
        self._sent: tuple[SparkContext, Broadcast[Translated]] | None = None

    @property
    def context(self) -> "SparkContext":
        """Spark's context, started when there is none."""
        return spark_context(self.settings)

    @property
    def remote(self) -> bool:
        """Whether workers may be on other machines."""
        return not is_local(self.context)

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Any:
        """Run to the end; the state of what is returned is DONE."""
        translated = self._translate(pipeline, options)
        context = self.context
        shared = self._send(context, translated)
        parallelism = self.settings.parallelism or context.defaultParallelism
        name = f"{self.label()}: {len(translated.stages)} stages"
        with job_group(context, name), readable_failures():
            records = collect(context, shared, parallelism, self.verify)
        return RunnerResult(PipelineState.DONE, metrics_of(records, translated.stages))

    def unreadable(self, contents: Mapping[str, bytes]) -> list[str]:
        """Paths, of files with these contents, that some worker cannot read."""
        with readable_failures():
            return unreadable(self.context, contents)

    def _translate(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Translated:
        """Anew only for another pipeline, or one that has grown."""
        known, size = self._translated, len(pipeline.applied_labels)
        if known is None or known[0] is not pipeline or known[1] != size:
            known = self._translated = pipeline, size, translate(pipeline, options)
        return known[2]

    def _send(self, context: "SparkContext", translated: Translated) -> "Broadcast[Translated]":
        """The pipeline, where all workers get it; anew only for another one, or another context."""
        if self._sent is not None and self._sent[0] is context and self._sent[1].value is translated:
            return self._sent[1]
        shared = context.broadcast(translated)
        self._sent = context, shared
        return shared
