"""Rows of output topics as Avro and JSON Schema: what is read back is what was written."""

import json
import struct
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.io.payloads.avro import AvroSchema
from ecompulse.io.payloads.registry import Registry
from ecompulse.io.payloads.writing import Encoding
from ecompulse.io.sinks.lines import json_lines
from services.registry import StubRegistry

NOW = datetime(2024, 5, 1, 10, tzinfo=UTC)
ROWS = pl.DataFrame(
    [
        {"id": "a", "n": 1, "price": Decimal("1.5000"), "at": NOW, "day": date(2024, 5, 1), "raw": b"\0x", "flag": True,
         "x": 0.5, "lines": [{"sku": "s", "q": 2}], "status": {"geo": "ok", "at": NOW}},
        {"id": "b", "lines": [], "status": None},
    ],
    schema={"id": pl.String, "n": pl.Int64, "price": pl.Decimal(18, 4), "at": pl.Datetime("ms", "UTC"), "day": pl.Date,
            "raw": pl.Binary, "flag": pl.Boolean, "x": pl.Float64,
            "lines": pl.List(pl.Struct({"sku": pl.String, "q": pl.Int64})),
            "status": pl.Struct({"geo": pl.String, "at": pl.Datetime("ms", "UTC")})},
)  # fmt: skip


@pytest.mark.parametrize("form", ["avro", "json_schema"])
def test_rows_come_back_under_one_subject(form):
    lines = json_lines(ROWS).split(b"\n")[:-1]
    with StubRegistry() as stub:
        encoding = Encoding(form, Registry(stub.url))
        values = encoding.values("shop.sessions", ROWS, lines)
        encoding.values("shop.sessions", ROWS.head(0), [])
        again = Encoding(form, Registry(stub.url)).values("shop.sessions", ROWS, lines)
        assert again == values, "a schema that is there keeps its id"
        assert list(stub.versions) == ["shop.sessions-value"]
        [number] = stub.versions["shop.sessions-value"]
        schema = stub.schemas[number]
    assert all(value[:5] == b"\0" + struct.pack(">I", number) for value in values)
    bodies = [value[5:] for value in values]
    if form == "avro":
        assert AvroSchema(schema["schema"], {}).read(bodies).to_dicts() == ROWS.to_dicts()
        return
    properties = json.loads(schema["schema"])["properties"]
    words = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict}
    for line, body in zip(lines, bodies, strict=True):
        assert body == line
        for name, value in json.loads(body).items():
            assert value is None or isinstance(value, words[properties[name]["type"][1]])
