"""A stage's steps over one partition's elements, run by Beam's own bundle processor in this Python worker."""

import contextlib
import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2 as fn_api
from apache_beam.portability.api import beam_runner_api_pb2 as api

from ecompulse.runners.spark.beam_internals import (
    USER_METRIC_URNS,
    BundleProcessor,
    GroupingBuffer,
    InMemoryDataChannel,
    InMemoryDataChannelFactory,
    PipelineContext,
)
from ecompulse.runners.spark.translation import Grouping, Stage, Translated


class NoState:
    """Stands where Beam keeps user state and side inputs, which the runner refuses."""

    def process_instruction_id(self, *_ids: Any, **_more: Any) -> Any:
        """A context in which nothing is kept."""
        return contextlib.nullcontext()


class Bundles:
    """Runs bundles of one pipeline; functions are unpickled once per stage and process."""

    def __init__(self, translated: Translated) -> None:
        """`translated`: the pipeline."""
        self.id = translated.id
        self._stages = translated.stages
        self._context = PipelineContext(api.Components.FromString(translated.components))
        self._processors: dict[int, tuple[Any, Any]] = {}
        self._numbers = itertools.count()

    def coder(self, coder_id: str) -> Any:
        """A coder of the pipeline."""
        return self._context.coders[coder_id]

    def ran(self, stage: int) -> bool:
        """Whether a bundle of the stage was run here before."""
        return stage in self._processors

    def group(self, grouping: Grouping, blobs: Iterable[bytes]) -> bytes:
        """Elements of pairs as elements of key and values, by window, as Beam's own runner groups."""
        strategy = self._context.windowing_strategies[grouping.windowing]
        buffer = GroupingBuffer(self.coder(grouping.before), self.coder(grouping.after), strategy)
        for blob in blobs:
            buffer.append(blob)
        return b"".join(buffer)

    def run(self, stage: Stage, data: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[bytes]]:
        """Run a bundle.

        Args:
            stage: whose steps.
            data: encoded elements by the id of the input's transform.

        Returns:
            Encoded elements by the id of the output's transform; the user's metrics as MonitoringInfos.
        """
        # After a failure a processor is not used again.
        known = stage.number in self._processors
        processor, channel = self._processors.pop(stage.number) if known else _open(stage)
        bundle, runner = f"bundle-{next(self._numbers)}", channel.inverse()
        for transform in (one.transform for one in stage.inputs):
            stream = runner.output_stream(bundle, transform)
            stream.write(data.get(transform, b""))
            stream.close()
        processor.process_bundle(bundle)
        found = defaultdict(list)
        for element in runner.input_elements(bundle, [one.transform for one in stage.outputs]):
            found[element.transform_id].append(element.data)
        infos = [info for info in processor.monitoring_infos() if info.urn in USER_METRIC_URNS]
        processor.reset()
        self._processors[stage.number] = processor, channel
        return {name: b"".join(parts) for name, parts in found.items()}, [i.SerializeToString() for i in infos]

    def close(self) -> None:
        """Tear down the user's functions."""
        for processor, _ in self._processors.values():
            processor.shutdown()
        self._processors.clear()


def _open(stage: Stage) -> tuple[Any, Any]:
    channel = InMemoryDataChannel()
    descriptor = fn_api.ProcessBundleDescriptor.FromString(stage.descriptor)
    return BundleProcessor(frozenset(), descriptor, NoState(), InMemoryDataChannelFactory(channel)), channel


_here: list[Bundles] = []


def bundles_of(translated: Translated) -> Bundles:
    """This worker's; of a pipeline that ran here before, the functions are torn down."""
    if not _here or _here[0].id != translated.id:
        while _here:
            _here.pop().close()
        logging.getLogger().setLevel(translated.log_level)
        _here.append(Bundles(translated))
    return _here[0]
