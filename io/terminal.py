"""Text for people: what would move a terminal's cursor, hide or turn text round is shown as an escape."""

import re
import sys
from typing import Final, TextIO

_RANGES: Final = (
    (0x00, 0x1F), (0x7F, 0x9F),  # C0 and C1, with DEL
    (0x061C, 0x061C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069),  # marks and overrides of direction
    (0x2028, 0x2029),  # line and paragraph separators
)  # fmt: skip
_HALVES: Final = "\ud800-\udfff"  # of surrogates: bytes of a file's name that are no text
_UNPRINTABLE: Final = re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in _RANGES) + f"{_HALVES}]")
_SHORT: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _escape(character: str) -> str:
    return _SHORT.get(character) or (rf"\x{ord(character):02x}" if character <= "\xff" else rf"\u{ord(character):04x}")


ESCAPES: Final = {chr(code): _escape(chr(code)) for low, high in _RANGES for code in range(low, high + 1)}
"""Of single characters, for columns of Polars: these are UTF-8, and hold no halves of surrogates."""


def printable(text: str) -> str:
    r"""A text in one line, with control characters, and marks that turn its direction, as `\x1b` or `\u202e`.

    For people: what was a backslash before stays one, so that the way back is not unique. Programs read JSON.
    """
    return _UNPRINTABLE.sub(lambda found: _escape(found[0]), text)


def say(line: str, to: TextIO | None = None) -> None:
    """Print a line for people, on stderr unless told otherwise: data in it cannot be more than text."""
    print(printable(line), file=to or sys.stderr)
