"""What is shuffled to a shard: rows for it, or its head."""

import json
from collections.abc import Mapping
from typing import Any, Final

import apache_beam as beam
import polars as pl

from ecompulse.epochs.coders import decode, encode

_ROWS: Final = b"R"
_HEAD: Final = b"H"


class ShardInput:
    """Rows for a shard, or its head (of an epoch: clock, attempt, head).

    An engine in one process hands the object on as it is. It is bytes only where it travels, and what has travelled is
    decoded when it is asked for: an engine that sorts by key need not look inside.
    """

    def __init__(
        self, rows: pl.DataFrame | None = None, head: Mapping[str, Any] | None = None, data: bytes | None = None
    ) -> None:
        """One of the three; `data` is what `dump` gave."""
        self._rows = rows
        self._head = head
        self._data = data

    @staticmethod
    def load(data: bytes) -> "ShardInput":
        """The inverse of `dump`."""
        return ShardInput(data=data)

    def dump(self) -> bytes:
        """As bytes."""
        if self._data is not None:
            return self._data
        return _HEAD + json.dumps(self._head).encode() if self._rows is None else _ROWS + encode(self._rows)

    @property
    def nbytes(self) -> int:
        """Size in bytes, about."""
        return len(self._data or b"") if self._rows is None else int(self._rows.estimated_size())

    @property
    def rows(self) -> pl.DataFrame | None:
        """The rows; None for a head."""
        return decode(self._data[1:]) if self._data is not None and self._data[:1] == _ROWS else self._rows

    @property
    def head(self) -> Mapping[str, Any] | None:
        """The head; None for rows."""
        return json.loads(self._data[1:]) if self._data is not None and self._data[:1] == _HEAD else self._head


class ShardInputCoder(beam.coders.Coder):
    """Not deterministic in Beam's sense: shard inputs are never keys."""

    def encode(self, value: ShardInput) -> bytes:
        """As bytes."""
        return value.dump()

    def decode(self, encoded: bytes) -> ShardInput:
        """The inverse of `encode`."""
        return ShardInput.load(encoded)

    def estimate_size(self, value: ShardInput) -> int:
        """Bytes, about. Beam's own way encodes the element again at every step, for its counters."""
        return value.nbytes

    def is_deterministic(self) -> bool:
        """Shard inputs are values only."""
        return False

    def to_type_hint(self) -> type:
        """Shard inputs."""
        return ShardInput


beam.coders.registry.register_coder(ShardInput, ShardInputCoder)
