"""Files as a source: listing, planning by complete records, reading ranges."""

from ecompulse.io.files.source import FileSource

__all__ = ["FileSource"]
