"""How batches cross a shuffle: Arrow IPC, never pickles."""

import io

import apache_beam as beam
import polars as pl


class FrameCoder(beam.coders.Coder):
    """Polars frames as Arrow IPC streams. Not deterministic in Beam's sense: frames are never keys."""

    def encode(self, value: pl.DataFrame) -> bytes:
        """A frame as bytes."""
        return encode(value)

    def decode(self, encoded: bytes) -> pl.DataFrame:
        """The inverse of `encode`."""
        return decode(encoded)

    def estimate_size(self, value: pl.DataFrame) -> int:
        """Bytes, about. Beam's own way encodes the frame again at every step, for its counters."""
        return int(value.estimated_size())

    def is_deterministic(self) -> bool:
        """Frames are values only."""
        return False

    def to_type_hint(self) -> type:
        """Polars frames."""
        return pl.DataFrame


def encode(frame: pl.DataFrame) -> bytes:
    """A frame as an Arrow IPC stream."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="uncompressed")
    return buffer.getvalue()


def decode(data: bytes) -> pl.DataFrame:
    """The inverse of `encode`."""
    return pl.read_ipc_stream(io.BytesIO(data))


beam.coders.registry.register_coder(pl.DataFrame, FrameCoder)
