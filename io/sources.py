"""Sources by URI."""

from pathlib import Path

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS, Source
from ecompulse.io.files import FileSource


def open_source(uri: str, index: int, *, order: str, max_files: int, role: str = EVENTS) -> Source:
    """The source for a path, folder or glob; UserError when nothing is there or the scheme is not known."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        raise UserError(f"--source: {uri}: no source for {scheme}://; give a path, a folder or a glob")
    path = rest if separator else uri
    source = FileSource(str(Path(path).absolute()), index, order, max_files, role)
    source.check()
    return source
