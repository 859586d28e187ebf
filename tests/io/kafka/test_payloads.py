"""Jobs on topics of Avro and of CloudEvents, on a real broker; the registry is a stub."""

import json
import struct
from decimal import Decimal
from pathlib import Path

import pytest

from ecompulse.io.payloads.avro import AvroSchema
from services.registry import StubRegistry
from support.avro import written
from support.process import Shop, command
from support.topics import Topics

pytestmark = pytest.mark.slow

ONE = {"type": "record", "name": "E", "fields": [
    {"name": "id", "type": "string"}, {"name": "at", "type": "long"},
    {"name": "user", "type": {"type": "record", "name": "U", "fields": [{"name": "id", "type": "string"}]}},
    {"name": "price", "type": ["null", "double"]},
]}  # fmt: skip
TWO = {**ONE, "fields": [*ONE["fields"], {"name": "color", "type": "string"}]}
FLAGS = ("--trigger=available-now", "--num_shards=2", "--progress=none", "--max_dead_ratio=1")


@pytest.mark.parametrize("client", ["python", "confluent"])
def test_a_new_schema_in_the_middle_and_a_broken_message(topics: Topics, tmp_path: Path, client: str) -> None:
    topic = topics.make()
    (tmp_path / "m.yaml").write_text(
        "fields: {event_id: id, event_time: at, user_id: user.id}\nconstants: {event_type: purchase, currency: EUR}\n"
    )
    events = [{"id": f"e{n}", "at": 1_714_557_600_000 + n, "user": {"id": "u"}, "price": n / 4} for n in range(10)]
    with StubRegistry() as stub:
        one, two = stub.add(ONE), stub.add(TWO)
        old, new = written(ONE, *events[:5]), written(TWO, *({**event, "color": "red"} for event in events[5:]))
        values = [b"\0" + struct.pack(">I", one) + body for body in old]
        topics.send(topic, [*values, b"\0\0\0\0\x63??"])
        topics.send(topic, new, headers=[("__value_schema_id", b"\0" + struct.pack(">I", two))])
        flags = (*FLAGS, f"--mapping={tmp_path / 'm.yaml'}", "--format=avro", f"--kafka_client={client}")
        source = f"kafka://{topics.bootstrap}/{topic}"
        shop = Shop(tmp_path / "shop", source, (*flags, f"--schema_registry={stub.url}"))
        assert shop.run_here()[0] == 0
    tables = shop.tables()
    enriched, dead = tables["lake enriched_events"].sort("event_id"), tables["lake dead_letters"]
    assert enriched["event_id"].to_list() == [event["id"] for event in events]
    assert [float(price) for price in enriched["price"]] == [event["price"] for event in events]
    assert enriched["properties"].to_list() == [None] * 5 + ['{"color":"red"}'] * 5
    assert dead["rule"].to_list() == ["broken_payload"]
    assert dead["message"][0].startswith("schema 99")
    assert command("pipelines.audit", str(shop.root / "checkpoint"))[0] == 0


@pytest.mark.parametrize("form", ["avro", "json_schema"])
def test_outputs_have_schemas_of_the_registry_and_the_audit_reads_them(
    topics: Topics, tmp_path: Path, form: str
) -> None:
    topic, kafka = topics.make(), f"kafka://{topics.bootstrap}"
    event = {"event_type": "search", "event_time": "2024-05-01T10:00:00Z", "user_id": "u", "price": 1.25}
    topics.send(topic, [*(json.dumps({"event_id": f"e{n}", **event}).encode() for n in range(9)), b"{"])
    with StubRegistry() as stub:
        registry, prefix = f"--schema_registry={stub.url}", f"--topic_prefix={topic}."
        shop = Shop(
            tmp_path / "shop",
            f"{kafka}/{topic}",
            (*FLAGS, f"--sink={kafka}", prefix, registry, f"--sink_format={form}"),
        )
        assert shop.run_here()[0] == 0
        subjects = {f"{topic}.{table}-value" for table in ("enriched_events", "dead_letters")}
        assert set(stub.versions) == subjects
        values = [record.value or b"" for record in topics.committed(f"{topic}.enriched_events")]
        assert len(values) == 9
        if form == "avro":
            [number] = stub.versions[f"{topic}.enriched_events-value"]
            schema = AvroSchema(stub.schemas[number]["schema"], {})
            found = [schema.read_one(value[5:]) for value in values]
            assert sorted(row["event_id"] for row in found) == [f"e{n}" for n in range(9)]
            assert {row["price"] for row in found} == {Decimal("1.25")}
        audited = ("pipelines.audit", str(shop.root / "checkpoint"), prefix)
        assert command(*audited, registry)[0] == 0
        status, said, _ = command(*audited)
        assert (status, "give --schema_registry" in said) == (1, True)


def test_cloud_events_of_both_modes(topics: Topics, tmp_path: Path) -> None:
    topic, data = topics.make(), {"user_id": "u1", "product_id": "p1", "price": 2.5, "color": "red"}
    attributes = {"id": "a", "type": "add_to_cart", "time": "2024-05-01T10:00:00Z", "source": "/shop"}
    topics.send(topic, [json.dumps({"specversion": "1.0", **attributes, "data": data}).encode()])
    headers = [(f"ce_{name}", value.encode()) for name, value in {**attributes, "id": "b"}.items()]
    topics.send(topic, [json.dumps(data).encode()], headers=headers, key=b"k")
    shop = Shop(tmp_path / "shop", f"kafka://{topics.bootstrap}/{topic}", (*FLAGS, "--mapping=cloudevents"))
    assert shop.run_here()[0] == 0
    found = shop.tables()["lake enriched_events"].sort("event_id")
    assert found.select("event_id", "event_type", "user_id", "product_id").rows() == [
        ("/shop/a", "add_to_cart", "u1", "p1"),
        ("/shop/b", "add_to_cart", "u1", "p1"),
    ]
    assert found["event_time"].n_unique() == 1
    assert all("red" in properties for properties in found["properties"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format=avro"], "--schema_registry: is required by --format=avro"),
        (["--format=avroo"], "--format"),
        (["--format=avro", "--schema_registry=http://localhost:9"], "--schema_registry: http://localhost:9: does not"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(topics: Topics, tmp_path: Path, monkeypatch, flags, said) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("ecompulse.io.payloads.registry.wait_exponential_jitter", lambda **_: lambda _state: 0)
    monkeypatch.chdir(tmp_path)
    source = f"--source=kafka://{topics.bootstrap}/{topics.make()}"
    status, _, err = command("pipelines.event_enrichment", source, *flags, "--check")
    assert status in {1, 2}
    assert said in err
