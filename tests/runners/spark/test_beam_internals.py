"""What is expected of the names of Beam that are not public; an upgrade that breaks one fails here, by its name."""

import inspect
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder, StrUtf8Coder, TupleCoder, WindowedValueCoder
from apache_beam.portability.api import beam_fn_api_pb2 as fn_api
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from ecompulse.runners.spark import beam_internals as internals

PARAMETERS = {
    internals.BundleProcessor.__init__: ["runner_capabilities", "process_bundle_descriptor", "state_handler"],
    internals.BundleProcessor.process_bundle: ["instruction_id"],
    internals.BundleProcessor.monitoring_infos: [],
    internals.BundleProcessor.reset: [],
    internals.BundleProcessor.shutdown: [],
    internals.FnApiRunner.create_stages: ["pipeline_proto"],
    internals.GroupingBuffer.__init__: ["pre_grouped_coder", "post_grouped_coder", "windowing"],
    internals.GroupingBuffer.append: ["elements_data"],
    internals.InMemoryDataChannel.output_stream: ["instruction_id", "transform_id"],
    internals.InMemoryDataChannel.input_elements: ["instruction_id"],
    internals.RunnerResult.__init__: ["state", "monitoring_infos_by_stage"],
}


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda function: function.__qualname__)
def test_functions_take_what_they_are_given(function):
    found = [name for name in inspect.signature(function).parameters if name != "self"]
    assert found[: len(PARAMETERS[function])] == PARAMETERS[function]
    more = list(inspect.signature(function).parameters.values())[1 + len(PARAMETERS[function]) :]
    given_anyway = {"data_channel_factory", "unused_expected_inputs"}
    assert all(one.default is not one.empty for one in more if one.name not in given_anyway)


def test_every_name_is_used_somewhere():
    folder = Path(inspect.getfile(internals)).parent
    text = "".join(path.read_text() for path in folder.glob("*.py") if path.stem != "beam_internals")
    assert not [name for name in internals.__all__ if name not in text]


def test_a_pipeline_is_fused_into_stages_around_its_groupings():
    pipeline = beam.Pipeline()
    pipeline | beam.Create([("a", 1)]) | beam.GroupByKey() | beam.Map(print)
    context, stages = internals.FnApiRunner().create_stages(pipeline.to_runner_api())
    urns = [[transform.spec.urn for transform in stage.transforms] for stage in stages]
    assert [urn for one in urns for urn in one if urn == internals.DATA_INPUT_URN] == [internals.DATA_INPUT_URN] * 2
    [written] = [t for stage in stages for t in stage.transforms if t.spec.urn == internals.DATA_OUTPUT_URN]
    assert written.spec.payload.startswith(internals.GROUP_PREFIX)
    assert context.data_channel_coders[next(iter(written.inputs.values()))] in context.components.coders


def test_the_impulse_is_one_empty_element():
    coder = WindowedValueCoder(BytesCoder(), GlobalWindows().get_window_coder())
    assert coder.get_impl().decode_nested(internals.ENCODED_IMPULSE_VALUE).value == b""


def test_a_grouping_buffer_gives_each_key_once():
    pairs = WindowedValueCoder(TupleCoder((StrUtf8Coder(), BytesCoder())), GlobalWindows().get_window_coder())
    values = beam.coders.IterableCoder(BytesCoder())
    grouped = WindowedValueCoder(TupleCoder((StrUtf8Coder(), values)), GlobalWindows().get_window_coder())
    buffer = internals.GroupingBuffer(pairs, grouped, Windowing(GlobalWindows()))
    for pair in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        buffer.append(pairs.get_impl().encode_nested(WindowedValue(pair, 0, (GlobalWindow(),))))
    stream, found = internals.create_InputStream(b"".join(buffer)), {}
    while stream.size() > 0:
        key, its = grouped.get_impl().decode_from_stream(stream, True).value
        found[key] = list(its)
    assert found == {"a": [b"1", b"3"], "b": [b"2"]}


def test_a_channel_gives_on_one_side_what_was_written_on_the_other():
    channel = internals.InMemoryDataChannel()
    stream = channel.inverse().output_stream("one", "in")
    stream.write(b"data")
    stream.close()
    found = list(channel.input_elements("one", ["in"]))
    assert isinstance(found[0], fn_api.Elements.Data)
    assert b"".join(element.data for element in found) == b"data"
    assert internals.InMemoryDataChannelFactory(channel).create_data_channel(None) is channel
