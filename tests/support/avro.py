"""Avro messages as producers write them."""

import io
from collections.abc import Mapping
from typing import Any

import fastavro


def written(schema: Any, *records: Mapping[str, Any]) -> list[bytes]:
    """The body of each record."""
    bodies = []
    for each in records:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, dict(each))
        bodies.append(out.getvalue())
    return bodies
