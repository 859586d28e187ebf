"""The sinks that an audit looks into, as flags or the checkpoint name them."""

import argparse
from collections.abc import Iterator
from dataclasses import replace

from ecompulse.cli.settings import absolute
from ecompulse.cli.sinks import routes_of
from ecompulse.epochs.checkpoint import used_sinks
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import Holder
from ecompulse.io.kafka.address import SCHEME
from ecompulse.io.kafka.records import Naming
from ecompulse.io.kafka.settings import load_settings
from ecompulse.io.payloads.payload import Payload
from ecompulse.io.payloads.registry import Registry


def open_holders(store: Store, options: argparse.Namespace) -> Iterator[Holder]:
    """The sinks that the checkpoint has written to, or those that a user names instead."""
    # Here, since sinks bring Beam, which takes seconds to import.
    from ecompulse.io.delta.lake import Lake
    from ecompulse.io.holders.jsonlines import JsonLinesHolder
    from ecompulse.io.holders.lake import LakeHolder
    from ecompulse.io.holders.topics import TopicsHolder
    from ecompulse.io.holders.warehouse import WarehouseHolder

    used = used_sinks(store)
    lakes = _chosen(options.lake, [name.removeprefix("lake:") for name in used if name.startswith("lake:")])
    yield from (LakeHolder(Lake(absolute(place).rstrip("/"), options.s3_endpoint)) for place in lakes)
    urls = [name.removeprefix("warehouse:") for name in used if name.startswith("warehouse:")]
    yield from (WarehouseHolder(url) for url in _chosen(options.warehouse, urls))
    further = [name for name in used if name.startswith(("jsonl:", SCHEME))]
    payload = Payload()
    naming, settings = Naming(options.topic_prefix, routes_of(options.route)), load_settings(options.kafka_config)
    if options.schema_registry:  # what a schema is of, it says itself
        payload = Payload("avro", Registry(options.schema_registry, settings))
    for uri in further if options.sink is None else [uri for uri in options.sink if uri != "none"]:
        if uri.startswith(SCHEME):
            server, _, prefix = uri.removeprefix(SCHEME).partition("/")
            known = replace(naming, prefix=prefix.removesuffix("*")) if prefix else naming
            yield TopicsHolder(f"{SCHEME}{server}", known, settings, payload)
        else:
            yield JsonLinesHolder(absolute(uri.removeprefix("jsonl:").removeprefix("//")))


def unknown_sinks(store: Store) -> list[str]:
    """Sinks that the checkpoint has written to and that nobody here can look into."""
    return [name for name in used_sinks(store) if not name.startswith(("lake:", "warehouse:", "jsonl:", SCHEME))]


def _chosen(given: str | None, used: list[str]) -> list[str]:
    return used if given is None else [] if given == "none" else [given]
