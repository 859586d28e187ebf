"""Kafka as the flags name it: how topics are read, and the sinks that write them."""

from collections import Counter
from collections.abc import Mapping, Sequence

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
from pipelines.flags import Options
from pipelines.places import trigger_of


def reading_of(options: Options) -> Reading:
    """How topics are read; UserError for a file of settings that is wrong."""
    return Reading(
        settings=load_settings(options.kafka_config),
        start=parse_start(options.start),
        on_lost=options.on_lost_offsets,
        bounded=not isinstance(trigger_of(options), int),
        client=client_of(options),
    )


def lasting(uri: str) -> str:
    """What of a source may not change in the life of a checkpoint: of topics their names, for brokers come and go."""
    if not uri.startswith(SCHEME):
        return uri
    return f"{SCHEME}/{','.join(sorted(parse_address(uri, '--source').topics))}"


def topic_sinks(options: Options, outputs: Store) -> list[KafkaSink]:
    """The sinks that are Kafka's; UserError, naming the flag, for one that cannot be."""
    uris = [uri for uri in options.sink if uri.startswith(SCHEME)]
    if not uris:
        if options.route:
            raise UserError("--route: there is no --sink=kafka://host:port")
        return []
    if options.topic_prefix:
        check_topic(options.topic_prefix, "--topic_prefix")
    naming = Naming(options.topic_prefix or "", routes_of(options.route))
    settings = load_settings(options.kafka_config)
    for uri in uris:
        if parse_address(uri, "--sink").topics:
            raise UserError(f"--sink: {uri}: names a topic; topics are named after outputs, see --topic_prefix")
    client = client_of(options) or PYTHON
    return [KafkaSink(uri, outputs, naming, options.sink_units, settings, options.ledger, client) for uri in uris]


def client_of(options: Options) -> str:
    """The client asked for; empty for what is installed."""
    return "" if options.kafka_client == "auto" else str(options.kafka_client)


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


def check_topics(options: Options) -> None:
    """UserError for brokers of a sink that do not answer or refuse us; nothing is made."""
    for sink in topic_sinks(options, LocalStore("")):
        sink.check()
