"""Which Beam runner executes a job's pipeline, and how its failures read."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner

from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, UserError
from ecompulse.runners.local import LocalRunner

if TYPE_CHECKING:
    from ecompulse.runners.spark import SparkSettings

LOCAL: Final = "LocalRunner"
IN_PROCESS: Final = ("DirectRunner", "FnApiRunner")
PRISM: Final = "PrismRunner"
SPARK: Final = "PySparkRunner"
OURS: Final = (LOCAL, IN_PROCESS[0], PRISM, SPARK)
"""Runners that --help names."""
FROZEN: Final = "ECOMPULSE_FROZEN_FRAMES"
"""Environment variable: when set, LocalRunner proves that no frame is changed once it was handed on. For tests."""

_OURS: Final = re.compile(r"ecompulse\.(?:epochs\.errors|io\.lookups\.store|kernels\.config)\.(\w+): (.*)")


def new_pipeline(runner: str, beam_flags: Sequence[str], spark: "SparkSettings | None" = None) -> beam.Pipeline:
    """An empty pipeline on a runner; `spark` are the settings of ours on Spark.

    `LocalRunner` is ours. `DirectRunner` is the in-process FnApiRunner, chosen explicitly: Beam's own of that name
    would first try to download and start Prism.
    """
    if runner == LOCAL:
        frozen = bool(os.environ.get(FROZEN))
        return _empty(LocalRunner(frozen=frozen), beam_flags)
    if runner in IN_PROCESS:
        return _empty(RepeatingRunner(), beam_flags)
    if runner == SPARK:
        from ecompulse.runners.spark import PySparkRunner  # noqa: PLC0415  # PySpark is an extra

        return _empty(PySparkRunner(spark), beam_flags)
    if runner == PRISM and not any(flag.startswith("--prism_location") for flag in beam_flags):
        beam_flags = [*beam_flags, f"--prism_location={find_prism()}"]
    return _empty(None, [f"--runner={runner}", *beam_flags])


def _empty(runner: PipelineRunner | None, beam_flags: Sequence[str]) -> beam.Pipeline:
    """An empty pipeline without the temporary folder that Beam makes for each, and removes only in its own `run`."""
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(list(beam_flags)))
    # Cross-language transforms alone put something into it, and the jobs have none.
    shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)
    return pipeline


class RepeatingRunner(FnApiRunner):
    """The in-process runner, for a pipeline that is run again and again: it is translated once.

    Beam translates with every run, which means to inspect and pickle every function anew: a third of a small epoch.
    """

    _translated: tuple[Any, Any] | None = None

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> Any:
        """Translate, the first time, and run."""
        if self._translated is None:
            return super().run_pipeline(pipeline, options)
        return super().run_via_runner_api(_copy(self._translated[0]), self._translated[1])

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        """Remember the translation."""
        self._translated = _copy(pipeline_proto), options
        return super().run_via_runner_api(pipeline_proto, options)


def _copy(proto: Any) -> Any:
    """Running changes it."""
    copied = type(proto)()
    copied.CopyFrom(proto)
    return copied


def find_prism() -> str:
    """Prism's binary: on the PATH, in Go's folder of binaries, or in the cache; UserError when it is nowhere.

    Beam would download it; here it is only looked for.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "ecompulse", "prism")
    places = [shutil.which("prism"), Path.home() / "go" / "bin" / "prism", cache]
    found = next((str(place) for place in places if place and Path(place).is_file()), None)
    if found is None:
        raise UserError(
            f"--runner: PrismRunner needs the prism binary on the PATH or as {cache}; build it with "
            "`go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0`, or give --prism_location"
        )
    return found


def executor(pipeline: beam.Pipeline, label: Callable[[], str] | None = None) -> Callable[[], None]:
    """A function that runs the pipeline, again and again; JobError says in one line what failed on a worker.

    `label` names the run that begins, for an engine that shows its runs to people.
    """
    local = isinstance(pipeline.runner, LocalRunner)
    if label is not None and hasattr(pipeline.runner, "label"):
        pipeline.runner.label = label

    def run() -> None:
        try:
            # Beam's own `run` parses all options anew, each time: dear for a small epoch.
            done = pipeline.runner.run_pipeline(pipeline, pipeline.options) if local else pipeline.run()
            done.wait_until_finish()
        except Exception as error:
            raise clear(error) from error

    return run


def during_epochs(pipeline: beam.Pipeline) -> Callable[[], AbstractContextManager[None]]:
    """What is to be entered for each epoch, in which the pipeline is run once."""
    return pipeline.runner.one_core.epoch if isinstance(pipeline.runner, LocalRunner) else nullcontext


def clear(error: BaseException) -> BaseException:
    """The error of ours that a runner has wrapped, if there is one; else the error itself."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        if isinstance(link, JobError | UserError):
            return link
        chain.append(link)
        link = link.__cause__ or link.__context__
    found = _OURS.search(str(error))
    if found:
        kinds = {"Superseded": Superseded, "StateDamaged": StateDamaged, "UserError": UserError}
        text = re.sub(r" \[while running '.*", "", found[2].split("\\n")[0])
        if found[1] == "ConfigError":  # what a step needs is opened on each worker, and is not there
            return UserError(f"--enrich: on a worker: {text}")
        return kinds.get(found[1], JobError)(text)
    return error
