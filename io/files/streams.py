"""Text files as bytes of UTF-8, a row a line: through a decompressor, an encoding, and a JSON document, if need be.

Positions are offsets into what comes out, so that all files look alike.
"""

import bz2
import codecs
import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from ecompulse.epochs.errors import JobError
from ecompulse.io.files.documents import BrokenDocument, Documents

_COMPRESSIONS: Final = (".gz", ".zst", ".bz2")
_STEP: Final = 1024 * 1024  # bytes that are read at a time to get forward
_PIECE: Final = 64 * 1024  # compressed bytes that are read at a time
_DAMAGED: Final = (gzip.BadGzipFile, EOFError, zlib.error, UnicodeError, BrokenDocument, pa.ArrowException)


class UnreadableFile(JobError):  # noqa: N818  # of a file
    """A file is damaged, incomplete, or closed to us: it would be the same again until it changes."""


def compression_of(path: str) -> str:
    """The suffix of a file's compression, in lower case; empty for a plain one."""
    return next((suffix for suffix in _COMPRESSIONS if path.lower().endswith(suffix)), "")


class OpenFile:
    """A text file open for forward reading.

    A file that is read through a decoder keeps it, and what it read last: to go back a little must not mean to read it
    from its start, for a plan reads ahead of what it takes.
    """

    def __init__(self, path: str, encoding: str = "utf-8", rows: str | None = None) -> None:
        """Open; JobError when it cannot be. `rows`: of a JSON document, where its rows are; empty for an array.

        `decodes` says whether it is read through a decoder, which costs many times what a plain file does.
        """
        self.path = path
        self._encoding, self._rows = encoding, rows
        plain = encoding in {"utf-8", "utf-8-sig", "ascii"}
        self.decodes = bool(compression_of(path)) or not plain or rows is not None
        self._file: IO[bytes]
        self._handle: Any
        self._begin()
        self.position = 0  # of the handle
        self._kept = b""  # what was read last, up to the position; of files that are read through a decoder

    def _begin(self) -> None:
        try:
            self._file = Path(self.path).open("rb")  # noqa: SIM115  # closed by close()
        except PermissionError as error:
            raise UnreadableFile(f"{self.path}: cannot be read: {error.strerror}") from None
        except OSError as error:
            raise JobError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        self._handle = self._file
        suffix = compression_of(self.path)
        if suffix:
            self._handle = _DECOMPRESSORS[suffix](self._file)
        if self._encoding not in {"utf-8", "utf-8-sig", "ascii"}:
            self._handle = _Transcoded(self._handle, self._encoding)
        if self._rows is not None:
            self._handle = Documents(self._handle, self._rows)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Which file it is, and how it is read: path, inode, when it was last written (ns)."""
        status = os.fstat(self._file.fileno())
        return self.path, status.st_ino, status.st_mtime_ns, self._encoding, self._rows

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`; fewer only at the end."""
        back = self.position - start
        known = self._kept[-back:][:size] if 0 < back <= len(self._kept) else b""
        if known and len(known) == size:
            return known
        try:
            if not known and back:
                self._seek(start)
            data = known + self._take(size - len(known))
        except _DAMAGED as error:
            raise UnreadableFile(f"{self.path}: damaged or incomplete: {_reason(error)}") from None
        except OSError as error:
            if self.decodes and error.errno is None:  # a decompressor's
                raise UnreadableFile(f"{self.path}: damaged or incomplete: {error}") from None
            raise JobError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        self.position = start + len(data)
        self._kept = data if self.decodes else b""
        return data

    def _take(self, size: int) -> bytes:
        data: bytes = self._handle.read(size)
        if not self.decodes or len(data) == size:
            return data
        parts = [data]
        while data and (size := size - len(data)) > 0:  # a decoder may give less than it is asked for
            data = self._handle.read(size)
            parts.append(data)
        return b"".join(parts)

    def _seek(self, start: int) -> None:
        if not self.decodes or isinstance(self._handle, gzip.GzipFile):
            self._handle.seek(start)
            return
        if start < self.position:
            self.close()
            self._begin()
            self.position = 0
        while self.position < start:
            data = self._take(min(_STEP, start - self.position))
            if not data:
                break
            self.position += len(data)

    def stored(self, position: int) -> float:
        """How many bytes of the file as it is stored lead to a position before the last read, about."""
        return position * (self._file.tell() / max(self.position, 1) if self.decodes else 1)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not self._file:
            self._handle.close()
        self._file.close()


class _Transcoded:
    """Text of another encoding as UTF-8.

    A byte that the encoding does not know stays as it is, which makes its row no UTF-8 and a dead letter.
    """

    def __init__(self, handle: Any, encoding: str) -> None:
        wide = encoding.startswith(("utf-16", "utf-32"))
        self._errors = "surrogatepass" if wide else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._handle, self._ended = handle, False
        self._made = b""  # and not asked for

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        while not self._made and not self._ended:
            data = self._handle.read(_STEP)
            self._ended = not data
            self._made = self._decoder.decode(data, final=self._ended).encode("utf-8", self._errors)
        found, self._made = self._made[:size], self._made[size:]
        return found

    def close(self) -> None:
        """Close what is below."""
        self._handle.close()


class _Bzip2:
    """Streams of bz2, one after the other. The standard library's reader ends where one of them is damaged."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._decoder, self._next = handle, bz2.BZ2Decompressor(), b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            EOFError: the file is incomplete.
            OSError: what follows a stream is none.
        """
        while size:
            if self._decoder.eof:
                if not self._begin():
                    return b""
            elif self._decoder.needs_input and not self._next and not self._fill():
                raise EOFError("it ends before the end of a stream")
            data = self._decoder.decompress(self._next, size)
            self._next = b""
            if data:
                return data
        return b""

    def _begin(self) -> bool:
        """Go on with the next stream, if there is one; zeros before it, or at the end, are passed over as in gzip."""
        self._next = self._decoder.unused_data
        while not (stream := self._next.lstrip(b"\0")):
            if not self._fill():
                return False
        self._next = stream
        self._decoder = bz2.BZ2Decompressor()
        return True

    def _fill(self) -> bool:
        self._next = self._handle.read(_PIECE)
        return bool(self._next)

    def close(self) -> None:
        """Nothing to close: the file is closed by who opened it."""


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


_DECOMPRESSORS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": _Bzip2,
    ".zst": lambda file: pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"),
}
