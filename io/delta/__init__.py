"""Delta tables as a source."""

from ecompulse.io.delta.source import DeltaSource, is_table

__all__ = ["DeltaSource", "is_table"]
