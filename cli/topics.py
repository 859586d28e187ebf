"""Kafka as the flags name it: how topics are read."""

from ecompulse.cli.settings import Kafka
from ecompulse.io.kafka.address import SCHEME, parse_address
from ecompulse.io.kafka.settings import load_settings
from ecompulse.io.kafka.source import Reading
from ecompulse.io.kafka.start import parse_start


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
