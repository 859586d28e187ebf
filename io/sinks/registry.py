"""Sinks by the scheme of their URI, as `--sink` gives it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import Sink
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.payloads.writing import Encoding
from ecompulse.io.schemes import Schemes, UnknownSchemeError


@dataclass(frozen=True)
class SinkContext:
    """What a sink is opened with, besides its URI.

    Attributes:
        outputs: store that the files of a sealed epoch are in: see `ecompulse.epochs.state.read_verified`.
        topic_prefix: of the names of topics.
        routes: event type to topic.
        units: writers, each with a transaction of its own.
        ledger: where a Kafka sink looks up what it wrote: `offsets` or `scan`.
        kafka: settings of Kafka's clients.
        client: of Kafka: `confluent`, `python`, or empty for what is installed.
        encoding: of values in topics; None for JSON.
    """

    outputs: Store
    topic_prefix: str = ""
    routes: Mapping[str, str] = field(default_factory=dict)
    units: int = 1
    ledger: str = "offsets"
    kafka: ClientSettings = field(default_factory=ClientSettings)
    client: str = ""
    encoding: Encoding | None = None


@runtime_checkable
class CheckedSink(Sink, Protocol):
    """A sink that can say before anything is made that it could not be written to."""

    def check(self) -> None:
        """UserError when somebody must mend it, JobError when it may pass; nothing is made."""
        ...


SinkOpener = Callable[[str, SinkContext], Sink]
"""Makes a sink of a URI without asking anybody; UserError, beginning with `--sink: `, for a URI that cannot be."""

SINKS: Final = Schemes[SinkOpener](
    "sink",
    {
        "jsonl": "ecompulse.io.sinks.jsonlines:open_json_lines",
        "kafka": "ecompulse.io.kafka.sink:open_topics",
    },
)

register_sink = SINKS.register


def open_sink(uri: str, context: SinkContext) -> Sink:
    """The sink of a URI; UserError names `--sink`."""
    try:
        return SINKS.opener(uri)(uri, context)
    except UnknownSchemeError as error:
        raise UserError(f"--sink: {error}; give kafka://host:port or jsonl:DIRECTORY") from None
    except ModuleNotFoundError as error:
        raise UserError(f"--sink: {uri}: {error.name} is not installed; pip install 'ecompulse[kafka]'") from None
