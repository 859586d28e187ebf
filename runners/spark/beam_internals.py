"""Every name of Beam that is not public and that this runner uses, in one place.

An upgrade of Beam that moves one of them fails here, with its name; `tests/runners/spark/test_beam_internals.py` holds
each to what is expected of it.
"""

from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.metrics.monitoring_infos import USER_METRIC_URNS, consolidate
from apache_beam.portability.common_urns import primitives
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.runners.pipeline_utils import group_by_key_input_visitor
from apache_beam.runners.portability.fn_api_runner.execution import ENCODED_IMPULSE_VALUE, GroupingBuffer
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult
from apache_beam.runners.portability.fn_api_runner.translations import IMPULSE_BUFFER
from apache_beam.runners.worker.bundle_processor import DATA_INPUT_URN, DATA_OUTPUT_URN, BundleProcessor
from apache_beam.runners.worker.data_plane import InMemoryDataChannel, InMemoryDataChannelFactory
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

GROUP_PREFIX = b"group:"
"""How the ids of buffers begin that hold elements to be grouped by key."""

__all__ = [
    "DATA_INPUT_URN",
    "DATA_OUTPUT_URN",
    "ENCODED_IMPULSE_VALUE",
    "GROUP_PREFIX",
    "IMPULSE_BUFFER",
    "USER_METRIC_URNS",
    "BundleProcessor",
    "EmbeddedPythonEnvironment",
    "FnApiRunner",
    "GroupingBuffer",
    "InMemoryDataChannel",
    "InMemoryDataChannelFactory",
    "PipelineContext",
    "RunnerResult",
    "consolidate",
    "create_InputStream",
    "group_by_key_input_visitor",
    "primitives",
]
