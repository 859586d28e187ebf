"""A Beam pipeline as stages: Beam's own optimiser fuses it, here is noted what each stage reads and writes."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions
from apache_beam.portability.api import beam_fn_api_pb2 as fn_api

from ecompulse.runners.spark.beam_internals import (
    DATA_INPUT_URN,
    DATA_OUTPUT_URN,
    GROUP_PREFIX,
    IMPULSE_BUFFER,
    EmbeddedPythonEnvironment,
    FnApiRunner,
    group_by_key_input_visitor,
)
from ecompulse.runners.spark.supported import require_supported


@dataclass(frozen=True)
class Grouping:
    """How the elements of an input are grouped: ids of coders, before and after, and of the windowing strategy."""

    before: str
    after: str
    windowing: str


@dataclass(frozen=True)
class Input:
    """What a stage reads.

    Attributes:
        transform: id of the transform that takes it in.
        buffer: where the stages before left it; the impulse's has one element, made by the runner.
        grouping: None: as it comes.
    """

    transform: str
    buffer: bytes
    grouping: Grouping | None

    @property
    def impulse(self) -> bool:
        """Whether it is the one element that everything begins with."""
        return self.buffer == bytes(IMPULSE_BUFFER)


@dataclass(frozen=True)
class Output:
    """What a stage writes: id of the transform that gives it out, where it goes, and the coder if it goes by key."""

    transform: str
    buffer: bytes
    keyed_by: str | None


@dataclass(frozen=True)
class Stage:
    """Steps that Beam runs in one go.

    Attributes:
        name: of the steps, for people.
        descriptor: a ProcessBundleDescriptor.
        parents: numbers of the stages that it reads from.
    """

    number: int
    name: str
    descriptor: bytes
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    parents: tuple[int, ...]

    def tasks(self, parallelism: int) -> int:
        """Tasks of the stage: one where there is nothing but the impulse."""
        return parallelism if self.parents else 1


@dataclass(frozen=True)
class Translated:
    """A pipeline, ready to be run again and again; workers get it once.

    Attributes:
        id: of this translation.
        components: coders and windowing strategies.
        stages: parents first.
        log_level: of the driver's root logger, for workers.
    """

    id: str
    components: bytes
    stages: tuple[Stage, ...]
    log_level: int


def translate(pipeline: beam.Pipeline, options: PipelineOptions) -> Translated:
    """Check and fuse a pipeline; Unsupported names what is not run."""
    deterministic = not options.view_as(TypeOptions).allow_non_deterministic_key_coders
    pipeline.visit(group_by_key_input_visitor(deterministic))
    proto = pipeline.to_runner_api(default_environment=EmbeddedPythonEnvironment.default())
    require_supported(proto)
    context, stages = FnApiRunner().create_stages(proto)
    before = _coders_before_grouping(stages, context.data_channel_coders)
    made: list[Stage] = []
    writers: dict[bytes, list[int]] = {}
    for number, stage in enumerate(stages):
        one = _stage(number, stage, context, before, writers)
        for output in one.outputs:
            writers.setdefault(output.buffer, []).append(number)
        made.append(one)
    components = context.components.SerializeToString()
    return Translated(uuid.uuid4().hex, components, tuple(made), logging.getLogger().level)


def _coders_before_grouping(stages: Sequence[Any], coders: Mapping[str, str]) -> dict[bytes, str]:
    """The coder of what is written into each buffer; all who write into one have the same."""
    return {
        transform.spec.payload: coders[_only(transform.inputs)]
        for stage in stages
        for transform in stage.transforms
        if transform.spec.urn == DATA_OUTPUT_URN
    }


def _stage(
    number: int, stage: Any, context: Any, before: Mapping[bytes, str], writers: Mapping[bytes, Sequence[int]]
) -> Stage:
    components, coders = context.components, context.data_channel_coders
    inputs, outputs = [], []
    for transform in stage.transforms:
        buffer = transform.spec.payload
        if transform.spec.urn == DATA_INPUT_URN:
            pcollection = _only(transform.outputs)
            windowing = components.pcollections[pcollection].windowing_strategy_id
            grouped = buffer.startswith(GROUP_PREFIX) and buffer in before
            grouping = Grouping(before[buffer], coders[pcollection], windowing) if grouped else None
            inputs.append(Input(transform.unique_name, buffer, grouping))
        elif transform.spec.urn == DATA_OUTPUT_URN:
            pcollection = _only(transform.inputs)
            keyed = coders[pcollection] if buffer.startswith(GROUP_PREFIX) else None
            outputs.append(Output(transform.unique_name, buffer, keyed))
        else:
            continue
        transform.spec.payload = fn_api.RemoteGrpcPort(coder_id=coders[pcollection]).SerializeToString()
    parents = sorted({parent for one in inputs for parent in writers.get(one.buffer, ())})
    descriptor = _descriptor(number, stage, components)
    return Stage(number, _name(stage), descriptor, tuple(inputs), tuple(outputs), tuple(parents))


def _descriptor(number: int, stage: Any, components: Any) -> bytes:
    descriptor = fn_api.ProcessBundleDescriptor(
        id=f"stage-{number}",
        transforms={transform.unique_name: transform for transform in stage.transforms},
        pcollections=dict(components.pcollections.items()),
        coders=dict(components.coders.items()),
        windowing_strategies=dict(components.windowing_strategies.items()),
        environments=dict(components.environments.items()),
    )
    found: bytes = descriptor.SerializeToString()
    return found


def _name(stage: Any) -> str:
    """The user's own labels, outermost only, in order: `Read events, Decode`."""
    steps = [t.unique_name for t in stage.transforms if t.spec.urn not in {DATA_INPUT_URN, DATA_OUTPUT_URN}]
    return ", ".join(dict.fromkeys(step.split("/")[0] for step in steps)) or str(stage.name)


def _only(ids: Mapping[str, str]) -> str:
    [found] = ids.values()
    return found
