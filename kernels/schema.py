"""The event as a JSON Schema, from the same declarations that decoding follows."""

from typing import Any, Final

from ecompulse.kernels.decode.numbers import INTEGER_LIMIT
from ecompulse.kernels.decode.plan import IDENTITIES
from ecompulse.kernels.decode.rules import Rule
from ecompulse.kernels.decode.times import ISO_TEXT, ZONE_TEXT
from ecompulse.kernels.event import (
    FIELDS,
    MAX_FIELD_BYTES,
    MAX_FUTURE_MS,
    MAX_ROW_BYTES,
    MIN_EVENT_TIME_MS,
    MONEY_LIMIT,
    Field,
    Kind,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one event.

    What a schema cannot say is under `x-`: sizes in bytes, times relative to now, and the rules that name dead
    letters. A schema validator takes numbers just outside decimal(18,4) after rounding, and texts of up to
    65,536 characters whatever their bytes; decoding decides.
    """
    return {
        "$schema": DIALECT,
        "title": "ecompulse event",
        "description": "One event of a shop; unknown fields are kept in `properties`.",
        "type": "object",
        "properties": {field.name: _field(field) for field in FIELDS},
        "required": [field.name for field in FIELDS if field.required],
        "anyOf": [
            {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}} for name in IDENTITIES
        ],
        "additionalProperties": True,
        "x-max-row-bytes": MAX_ROW_BYTES,
        "x-max-field-bytes": MAX_FIELD_BYTES,
        "x-max-future-ms": MAX_FUTURE_MS,
        "x-dead-letter-rules": {rule.value: rule.help for rule in Rule},
    }


def _field(field: Field) -> dict[str, Any]:
    described: dict[str, Any] = {"description": field.help} if field.help else {}
    if field.values:
        described["examples"] = list(field.values)
    return {**described, **(_value(field) if field.required else _or_null(_value(field)))}


def _or_null(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "type": [value["type"], "null"]}


def _value(field: Field) -> dict[str, Any]:
    match field.kind:
        case Kind.TEXT:
            least = {"minLength": 1} if field.required else {}
            return {"type": "string", **least, "maxLength": MAX_FIELD_BYTES}
        case Kind.MONEY:
            limit = MONEY_LIMIT
            return {"type": "number", "exclusiveMinimum": -limit, "exclusiveMaximum": limit}
        case Kind.INTEGER:
            return {"type": "integer", "minimum": -INTEGER_LIMIT, "maximum": INTEGER_LIMIT - 1}
        case Kind.OBJECT:
            return {"type": "object"}
        case Kind.TIME:
            return {
                "anyOf": [
                    {"type": "string", "pattern": f"^{ISO_TEXT}{ZONE_TEXT}$"},
                    {"type": "integer", "minimum": MIN_EVENT_TIME_MS},
                ]
            }
