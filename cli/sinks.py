"""The sinks that flags name, in the order in which an epoch is published."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ecompulse.cli.places import warehouse_of
from ecompulse.cli.settings import JobSettings, Kafka, Outputs, Settings
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import Sink
from ecompulse.io.kafka.address import SCHEME, check_topic
from ecompulse.io.kafka.settings import ClientSettings, load_settings
from ecompulse.io.payloads.registry import Registry
from ecompulse.io.payloads.writing import Encoding
from ecompulse.io.s3 import storage_options
from ecompulse.io.sinks.registry import CheckedSink, SinkContext, open_sink
from ecompulse.io.stores import LocalStore


def open_sinks(outputs: Store, settings: Settings[JobSettings]) -> list[Sink]:
    """Lake, warehouse, then those of `--sink` as they are given; UserError, naming the flag, for what cannot be."""
    sinks: list[Sink] = []
    places = settings.places
    if places.lake != "none":
        from ecompulse.io.sinks.delta import DeltaSink

        sinks.append(DeltaSink(outputs, storage_options(outputs.root, places.s3_endpoint)))
    if places.warehouse != "none":
        from ecompulse.io.sinks.warehouse import WarehouseSink  # SQLAlchemy takes its time

        sinks.append(WarehouseSink(warehouse_of(places), outputs))
    return [*sinks, *further_sinks(settings.outputs, settings.kafka, outputs)]


def further_sinks(settings: Outputs, kafka: Kafka, outputs: Store) -> list[Sink]:
    """Those of `--sink`."""
    if settings.topic_prefix:
        check_topic(settings.topic_prefix, "--topic_prefix")
    client = load_settings(kafka.kafka_config)
    context = SinkContext(
        outputs,
        settings.topic_prefix or "",
        routes_of(settings.route),
        settings.sink_units,
        settings.ledger,
        client,
        kafka.client,
        _encoding(settings, kafka, client),
    )
    if context.routes and not any(uri.startswith(SCHEME) for uri in settings.sink):
        raise UserError("--route: there is no --sink=kafka://host:port")
    return [open_sink(uri, context) for uri in settings.sink]


def _encoding(settings: Outputs, kafka: Kafka, client: ClientSettings) -> Encoding | None:
    if settings.sink_format == "json":
        return None
    if kafka.schema_registry is None:
        raise UserError(f"--schema_registry: is required by --sink_format={settings.sink_format}")
    return Encoding(settings.sink_format, Registry(kafka.schema_registry, client))


def check_sinks(settings: Outputs, kafka: Kafka) -> None:
    """UserError for a sink of `--sink` that cannot be written to, JobError for one that does not answer."""
    for sink in further_sinks(settings, kafka, LocalStore("")):
        if isinstance(sink, CheckedSink):
            sink.check()


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
