"""Jobs on topics of Avro and JSON Schema, on a real broker with a real registry: Apicurio, by Confluent's API."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecompulse.epochs.errors import UserError
from ecompulse.io.payloads.avro import AvroSchema
from ecompulse.io.payloads.registry import AVRO, Registry, UnknownSchema, forget
from services import apicurio
from services.server import Server, Unavailable
from support.avro import written
from support.process import Shop, command
from support.topics import Topics

pytestmark = [pytest.mark.night, pytest.mark.slow]

ONE = {"type": "record", "name": "E", "fields": [
    {"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "user", "type": "string"},
]}  # fmt: skip
TWO = {**ONE, "fields": [*ONE["fields"], {"name": "color", "type": "string", "default": "none"}]}
FLAGS = ("--trigger=available-now", "--num_shards=2", "--progress=none", "--max_dead_ratio=1")
MAPPING = "fields: {event_id: id, event_time: at, user_id: user}\nconstants: {event_type: search}\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        server = apicurio.start(tmp_path_factory.mktemp("apicurio"))
    except Unavailable as reason:
        pytest.skip(f"a registry: {reason}")
    forget()
    yield server
    server.stop()


def test_a_schema_has_one_id_and_comes_back(registry: Server) -> None:
    client = Registry(registry.facts["url"])
    client.check()
    number = client.register("shop.events-value", AVRO, json.dumps(ONE))
    assert client.register("shop.events-value", AVRO, json.dumps(ONE)) == number
    assert json.loads(client.schema(number).text) == ONE
    with pytest.raises(UnknownSchema):
        client.schema(987_654)
    with pytest.raises(UserError, match="--schema_registry"):
        client.register("shop.events-value", AVRO, '{"type": "no such type"}')


def test_a_topic_with_two_schemas_in_both_framings(registry: Server, topics: Topics, tmp_path: Path) -> None:
    topic, client = topics.make(), Registry(registry.facts["url"])
    one, two = (client.register(f"{topic}-value", AVRO, json.dumps(schema)) for schema in (ONE, TWO))
    (tmp_path / "m.yaml").write_text(MAPPING)
    events = [{"id": f"e{n}", "at": 1_714_557_600_000 + n, "user": "u"} for n in range(10)]
    old, new = written(ONE, *events[:5]), written(TWO, *({**event, "color": "red"} for event in events[5:]))
    topics.send(topic, [*(b"\0" + struct.pack(">I", one) + body for body in old), b"\0\0\1\0\0??"])
    topics.send(topic, new, headers=[("__value_schema_id", b"\0" + struct.pack(">I", two))])
    flags = (*FLAGS, f"--mapping={tmp_path / 'm.yaml'}", "--format=avro", f"--schema_registry={registry.facts['url']}")
    shop = Shop(tmp_path / "shop", f"kafka://{topics.bootstrap}/{topic}", flags)
    assert shop.run_here()[0] == 0
    tables = shop.tables()
    found = tables["lake enriched_events"].sort("event_id")
    assert found["event_id"].to_list() == [event["id"] for event in events]
    assert found["properties"].to_list() == [None] * 5 + ['{"color":"red"}'] * 5
    assert tables["lake dead_letters"]["rule"].to_list() == ["broken_payload"]
    assert "schema 65536" in tables["lake dead_letters"]["message"][0]


@pytest.mark.parametrize("form", ["avro", "json_schema"])
def test_outputs_are_registered_and_audited(registry: Server, topics: Topics, tmp_path: Path, form: str) -> None:
    topic, kafka, url = topics.make(), f"kafka://{topics.bootstrap}", registry.facts["url"]
    event = {"event_type": "search", "event_time": "2024-05-01T10:00:00Z", "user_id": "u", "price": 1.25}
    topics.send(topic, [json.dumps({"event_id": f"e{n}", **event}).encode() for n in range(9)])
    prefix, where = f"--topic_prefix={topic}.", f"--schema_registry={url}"
    flags = (*FLAGS, f"--sink={kafka}", prefix, where, f"--sink_format={form}")
    shop = Shop(tmp_path / "shop", f"{kafka}/{topic}", flags)
    assert shop.run_here()[0] == 0
    values = [record.value or b"" for record in topics.committed(f"{topic}.enriched_events")]
    numbers = {struct.unpack(">I", value[1:5])[0] for value in values}
    assert (len(values), len(numbers)) == (9, 1)
    known = Registry(url).schema(numbers.pop())
    if form == "avro":
        rows = [AvroSchema(known.text, {}).read_one(value[5:]) for value in values]
        assert sorted(row["event_id"] for row in rows) == [f"e{n}" for n in range(9)]
    else:
        assert known.kind == "JSON"
    assert command("pipelines.audit", str(shop.root / "checkpoint"), prefix, where)[0] == 0
