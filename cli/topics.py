"""Kafka as the flags name it: how topics are read."""

from ecompulse.cli.settings import Kafka
from ecompulse.epochs.errors import UserError
from ecompulse.io.kafka.address import SCHEME, parse_address
from ecompulse.io.kafka.settings import ClientSettings, load_settings
from ecompulse.io.kafka.source import Reading
from ecompulse.io.kafka.start import parse_start
from ecompulse.io.payloads.payload import Payload
from ecompulse.io.payloads.registry import Registry
from ecompulse.kernels.mapping import Mapping


def reading_of(kafka: Kafka, *, bounded: bool, mapping: Mapping | None = None) -> Reading:
    """How topics are read; UserError for a file of settings that is wrong, or a registry that refuses us."""
    settings = load_settings(kafka.kafka_config)
    return Reading(
        settings=settings,
        payload=_payload(kafka, settings, told=mapping is not None and mapping.reads_kafka),
        start=parse_start(kafka.start),
        on_lost=kafka.on_lost_offsets,
        bounded=bounded,
        client=kafka.client,
    )


def _payload(kafka: Kafka, settings: ClientSettings, *, told: bool) -> Payload:
    if kafka.format == "json":
        return Payload(told=told)
    if kafka.schema_registry is None:
        raise UserError(f"--schema_registry: is required by --format={kafka.format}")
    registry = Registry(kafka.schema_registry, settings)
    registry.check()
    return Payload(kafka.format, registry, told)


def lasting(uri: str) -> str:
    """What of a source may not change in the life of a checkpoint: of topics their names, for brokers come and go."""
    if not uri.startswith(SCHEME):
        return uri
    return f"{SCHEME}/{','.join(sorted(parse_address(uri, '--source').topics))}"
