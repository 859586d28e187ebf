"""Records of output topics by schemas of a registry: a subject per topic, registered as its first rows are written."""

import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import fastavro
import polars as pl

from ecompulse.io.payloads.framing import MAGIC
from ecompulse.io.payloads.registry import AVRO, JSON, Registry

Form = Literal["json", "avro", "json_schema"]
FORMS: Final[tuple[Form, ...]] = ("json", "avro", "json_schema")
SUFFIX: Final = "-value"
"""What a subject has after the name of its topic."""

_PLAIN: Final[dict[Any, str]] = {
    pl.String: "string",
    pl.Boolean: "boolean",
    pl.Float32: "float",
    pl.Float64: "double",
    pl.Binary: "bytes",
}
_KINDS: Final = {"string": "string", "boolean": "boolean", "float": "number", "double": "number", "bytes": "string"}


@dataclass
class Encoding:
    """How values of output topics are written: a magic byte and the id of their schema, then the body.

    Attributes:
        form: `avro` or `json_schema`.
        registry: of their schemas.
    """

    form: Form
    registry: Registry
    _known: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)

    def values(self, topic: str, rows: pl.DataFrame, lines: Sequence[bytes]) -> list[bytes]:
        """Values of rows, whose JSON `lines` are; UserError when the registry does not take their schema."""
        schema = avro_schema(topic, rows.schema) if self.form == "avro" else json_schema(topic, rows.schema)
        number, parsed = self._registered(topic, schema)
        head = bytes((MAGIC,)) + struct.pack(">I", number)
        if self.form == "json_schema":
            return [head + line for line in lines]
        return [head + _body(parsed, row) for row in rows.iter_rows(named=True)]

    def _registered(self, topic: str, schema: dict[str, Any]) -> tuple[int, Any]:
        text = json.dumps(schema)
        if (topic, text) not in self._known:
            kind = AVRO if self.form == "avro" else JSON
            number = self.registry.register(f"{topic}{SUFFIX}", kind, text)
            self._known[topic, text] = number, fastavro.parse_schema(schema) if kind == AVRO else None
        return self._known[topic, text]


def _body(schema: Any, row: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, row)
    return out.getvalue()


def avro_schema(topic: str, columns: pl.Schema) -> dict[str, Any]:
    """The schema of rows: each field may be null, and is so by default, so that a column that is added fits."""
    counted = [0]
    fields = [
        {"name": name, "type": ["null", _avro(dtype, counted)], "default": None} for name, dtype in columns.items()
    ]
    return {"type": "record", "name": _named(topic), "namespace": "ecompulse", "fields": fields}


def _avro(dtype: Any, counted: list[int]) -> Any:
    if isinstance(dtype, pl.Decimal):
        return {"type": "bytes", "logicalType": "decimal", "precision": dtype.precision or 38, "scale": dtype.scale}
    if isinstance(dtype, pl.Datetime):
        unit = "millis" if dtype.time_unit == "ms" else "micros"
        return {"type": "long", "logicalType": f"timestamp-{unit}"}
    if dtype == pl.Date:
        return {"type": "int", "logicalType": "date"}
    if isinstance(dtype, pl.List | pl.Array):
        return {"type": "array", "items": ["null", _avro(dtype.inner, counted)]}
    if isinstance(dtype, pl.Struct):
        counted[0] += 1
        name = f"Part{counted[0]}"
        fields = [
            {"name": each.name, "type": ["null", _avro(each.dtype, counted)], "default": None} for each in dtype.fields
        ]
        return {"type": "record", "name": name, "fields": fields}
    return "long" if dtype.is_integer() else _PLAIN.get(dtype.base_type(), "string")


def json_schema(topic: str, columns: pl.Schema) -> dict[str, Any]:
    """The schema of the rows' JSON."""
    fields = {name: {"type": ["null", _json(dtype)]} for name, dtype in columns.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": topic,
        "type": "object",
        "properties": fields,
    }


def _json(dtype: Any) -> str:
    if isinstance(dtype, pl.List | pl.Array):
        return "array"
    if isinstance(dtype, pl.Struct):
        return "object"
    if dtype.is_integer():
        return "integer"
    return _KINDS.get(_PLAIN.get(dtype.base_type(), ""), "string")


def _named(topic: str) -> str:
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in topic)
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"
