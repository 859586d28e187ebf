"""JSON documents as lines: the elements of an array, or objects one after the other over several lines each.

What stands between rows becomes a line end.
"""

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_CHUNK: Final = 1024 * 1024
_QUOTE, _COMMA, _ARRAY, _OBJECT = b'",[{'
_ARRAY_END, _OBJECT_END = b"]}"
_NEWLINE, _RETURN, _SPACE, _TAB, _VERTICAL = b"\n\r \t\v"
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)

_Bytes = npt.NDArray[np.uint8]
_Mask = npt.NDArray[np.bool_]


class BrokenDocument(ValueError):  # noqa: N818  # of a file
    """A document that does not end, or has no rows where they should be."""


class Documents:
    """The rows of documents as lines.

    Elements of an array at the top are rows, and so are objects at the top. With a path the rows are the elements of
    the array there, in each of the documents. A line end within a row becomes a blank, and within a string what no
    string may have, so that the row is refused and not mended.
    """

    def __init__(self, handle: Any, rows: str = "") -> None:
        """`rows`: dotted path of the array; empty for the top."""
        self._handle = handle
        self._path = [part.encode() for part in rows.split(".")] if rows else []
        self._search = _Search(self._path) if rows else None
        self._held = b""  # read, and not looked at
        self._made = b""  # lines, and not asked for
        self._ended = False
        self._inside, self._depth, self._array = False, 0, False
        self._gap = True

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of lines; none at the end."""
        while not self._made and not self._ended:
            data = self._handle.read(_CHUNK)
            if data:
                self._held += data
            self._made = self._lines(last=not data)
            self._ended = not data
        found, self._made = self._made[:size], self._made[size:]
        return found

    def close(self) -> None:
        """Close what is below."""
        self._handle.close()

    def _lines(self, *, last: bool) -> bytes:
        made = []
        while self._held:
            if self._search and not self._search.found:
                self._held = self._held[self._search.feed(self._held) :]
                if not self._search.found:
                    break
                self._inside, self._depth, self._array = False, 1, True
            held = self._held if last else self._held[: len(self._held) - _odd_backslashes(self._held)]
            if not held:
                break
            lines, used = self._convert(held)
            made.append(lines)
            self._held = self._held[used:]
            if not self._search or self._depth:
                break
            self._search.leave()
        if last and (self._inside or self._depth > 0 or (self._search and self._search.unfinished)):
            raise BrokenDocument("the JSON document does not end")
        if last and self._search and not self._search.times:
            raise BrokenDocument(f"has no array at {b'.'.join(self._path).decode()}")
        return b"".join(made)

    def _convert(self, raw: bytes) -> tuple[bytes, int]:
        """The lines of a piece, and how much of it they are: less where the array of a path ends."""
        data = np.frombuffer(raw.replace(b"\\\\", b"__").replace(b'\\"', b"__"), dtype=np.uint8)
        quote = data == _QUOTE
        inside: _Mask = np.bitwise_xor.accumulate(quote) ^ self._inside
        outside = ~(inside | quote)
        opening = outside & ((data == _OBJECT) | (data == _ARRAY))
        closing = outside & ((data == _OBJECT_END) | (data == _ARRAY_END))
        depth = np.cumsum(opening.astype(np.int32) - closing) + self._depth
        used = len(data)
        if self._search and (depth == 0).any():
            used = int(np.argmax(depth == 0)) + 1
            data, quote, inside, outside = data[:used], quote[:used], inside[:used], outside[:used]
            opening, closing, depth = opening[:used], closing[:used], depth[:used]
        if depth.min() < 0:
            raise BrokenDocument("the JSON document closes what it did not open")
        between = self._between(data, outside, opening, closing, depth)
        made = np.frombuffer(raw[:used], dtype=np.uint8).copy()
        ends = (made == _NEWLINE) | (made == _RETURN)
        made[ends & inside] = _VERTICAL
        made[ends & ~inside] = _SPACE
        made[between] = _NEWLINE
        again = between & np.append(self._gap, between[:-1])  # one line end between rows is enough
        self._gap = bool(between[-1])
        self._inside, self._depth = bool(inside[-1]), int(depth[-1])
        return made[~again].tobytes(), used

    def _between(self, data: _Bytes, outside: _Mask, opening: _Mask, closing: _Mask, depth: Any) -> _Mask:
        """What is of no row: brackets of the array, and commas and blanks around its elements."""
        tops = np.flatnonzero(opening & (depth == 1))
        if len(tops):
            index = np.searchsorted(tops, np.arange(len(data)), side="right")
            array = np.append(self._array, data[tops] == _ARRAY)[index]
            self._array = bool(array[-1])
        else:
            array = np.full(len(data), self._array)
        blank = (data == _SPACE) | (data == _NEWLINE) | (data == _RETURN) | (data == _TAB)
        around = outside & (depth <= array) & (blank | (data == _COMMA))
        ends: _Mask = closing & (depth == 0) & (data == _ARRAY_END)
        ends[tops] = data[tops] == _ARRAY
        found: _Mask = around | ends
        return found


def has_rows(data: bytes, rows: str) -> bool:
    """Whether a document that begins so has an array at the path."""
    search = _Search([part.encode() for part in rows.split(".")])
    try:
        search.feed(data)
    except BrokenDocument:
        return False
    return search.found


class _Search:
    """Looks for the array at a path, token by token.

    Attributes:
        found: it stands in the array.
        times: how many arrays it has found.
    """

    def __init__(self, path: list[bytes]) -> None:
        self.found, self.times = False, 0
        self._path = path
        self._stack: list[list[Any]] = []  # of each that is open: its closing bracket, and its last key
        self._word = b""

    @property
    def unfinished(self) -> bool:
        """Whether something is open."""
        return bool(self._stack)

    def leave(self) -> None:
        """The array has ended."""
        self.found = False

    def feed(self, data: bytes) -> int:
        """Look at data until the array is found; how much of it is done with."""
        at = 0
        for token in _TOKEN.finditer(data):
            between = data[at : token.start()]
            if b'"' in between:  # a string that does not end here
                return at + between.index(b'"')
            at, text = token.end(), token[0]
            if text in {b"{", b"["}:
                path = [key for _, key in self._stack]
                if text == b"[" and path == self._path and all(end == b"}" for end, _ in self._stack):
                    self.found, self.times = True, self.times + 1
                    return at
                self._stack.append([b"}" if text == b"{" else b"]", None])
            elif text in {b"}", b"]"}:
                if not self._stack or self._stack.pop()[0] != text:
                    raise BrokenDocument("the JSON document closes what it did not open")
            elif text == b":" and self._stack:
                self._stack[-1][1] = self._word
            self._word = text[1:-1]
        rest = data.find(b'"', at)
        return rest if rest >= 0 else len(data)


def _odd_backslashes(data: bytes) -> int:
    """1 where data ends with an escape that is not whole."""
    return (len(data) - len(data.rstrip(b"\\"))) % 2
