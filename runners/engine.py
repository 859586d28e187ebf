"""Which Beam runner executes a job's pipeline, and how its failures read."""

import re
from collections.abc import Callable, Sequence
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from ecompulse.epochs.errors import JobError, StateDamaged, Superseded

IN_PROCESS: Final = ("DirectRunner", "FnApiRunner")
_OURS: Final = re.compile(r"ecompulse\.epochs\.errors\.(\w+): (.*)")


def new_pipeline(runner: str, beam_flags: Sequence[str]) -> beam.Pipeline:
    """An empty pipeline on a runner.

    `DirectRunner` is the in-process FnApiRunner, chosen explicitly: Beam's own of that name would first try to
    download and start Prism.
    """
    if runner in IN_PROCESS:
        return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(list(beam_flags)))
    return beam.Pipeline(options=PipelineOptions([f"--runner={runner}", *beam_flags]))


def executor(pipeline: beam.Pipeline) -> Callable[[], None]:
    """A function that runs the pipeline, again and again; JobError says in one line what failed on a worker."""

    def run() -> None:
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            raise clear(error) from error

    return run


def clear(error: BaseException) -> BaseException:
    """The error of ours that a runner has wrapped, if there is one; else the error itself."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        if isinstance(link, JobError):
            return link
        chain.append(link)
        link = link.__cause__ or link.__context__
    found = _OURS.search(str(error))
    if found:
        kinds = {"Superseded": Superseded, "StateDamaged": StateDamaged}
        text = re.sub(r" \[while running '.*", "", found[2].split("\\n")[0])
        return kinds.get(found[1], JobError)(text)
    return error
