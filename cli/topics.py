"""Kafka as the flags name it: how topics are read, and the sinks that write them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ecompulse.cli.settings import Kafka, Outputs
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.kafka.address import SCHEME, check_topic, parse_address
from ecompulse.io.kafka.reader import PYTHON
from ecompulse.io.kafka.records import Naming
from ecompulse.io.kafka.settings import load_settings
from ecompulse.io.kafka.sink import KafkaSink
from ecompulse.io.kafka.source import Reading
from ecompulse.io.kafka.start import parse_start
from ecompulse.io.stores import LocalStore


def reading_of(kafka: Kafka, *, bounded: bool) -> Reading:
    """How topics are read; UserError for a file of settings that is wrong."""
    return Reading(
        settings=load_settings(kafka.kafka_config),
        start=parse_start(kafka.start),
        on_lost=kafka.on_lost_offsets,
        bounded=bounded,
        client=kafka.client,
    )


def lasting(uri: str) -> str:
    """What of a source may not change in the life of a checkpoint: of topics their names, for brokers come and go."""
    if not uri.startswith(SCHEME):
        return uri
    return f"{SCHEME}/{','.join(sorted(parse_address(uri, '--source').topics))}"


def topic_sinks(settings: Outputs, kafka: Kafka, outputs: Store) -> list[KafkaSink]:
    """The sinks that are Kafka's; UserError, naming the flag, for one that cannot be."""
    uris = [uri for uri in settings.sink if uri.startswith(SCHEME)]
    if not uris:
        if settings.route:
            raise UserError("--route: there is no --sink=kafka://host:port")
        return []
    if settings.topic_prefix:
        check_topic(settings.topic_prefix, "--topic_prefix")
    naming = Naming(settings.topic_prefix or "", routes_of(settings.route))
    clients = load_settings(kafka.kafka_config)
    for uri in uris:
        if parse_address(uri, "--sink").topics:
            raise UserError(f"--sink: {uri}: names a topic; topics are named after outputs, see --topic_prefix")
    client = kafka.client or PYTHON
    return [KafkaSink(uri, outputs, naming, settings.sink_units, clients, settings.ledger, client) for uri in uris]


def routes_of(texts: Sequence[str]) -> Mapping[str, str]:
    """Event type to topic; UserError for what is no `event_type:topic`, or says two things."""
    routes = []
    for text in texts:
        kind, _, topic = text.partition(":")
        if not kind or not topic:
            raise UserError(f"--route: {text}: wants event_type:topic")
        check_topic(topic, f"--route: {text}")
        routes.append((kind, topic))
    twice = [kind for kind, times in Counter(kind for kind, _ in routes).items() if times > 1]
    if twice:
        raise UserError(f"--route: {twice[0]}: is given twice")
    return dict(routes)


def check_topics(settings: Outputs, kafka: Kafka) -> None:
    """UserError for brokers of a sink that do not answer or refuse us; nothing is made."""
    for sink in topic_sinks(settings, kafka, LocalStore("")):
        sink.check()
