"""The first pass over JSON rows in one go; made by `make native`."""

from typing import Final, TypeAlias

INTERFACE: Final[int]
"""Number of this interface: raised whenever what is below changes."""

Column: TypeAlias = tuple[bytes, bytes, bytes | None, bytes]
"""Buffers of a column of Arrow's string views: views, data, validity (None where no row is null), and quoted rows."""

Times: TypeAlias = tuple[bytes, bytes, int]
"""Buffers of a column of Int64 (UTC ms): values, validity; and how many are valid."""

def scan_rows(
    buffers: tuple[bytes | None, bytes, bytes],
    rows: tuple[int, int],
    fields: list[str],
    dropped: list[str],
    roles: tuple[str | None, int | None],
    limits: tuple[int, int],
) -> tuple[list[Column | None], Column | None, Times | None, bytes]:
    """Scan rows of one JSON object each, without Python's lock.

    Args:
        buffers: validity, offsets and data of an Arrow column of large binary.
        rows: the first row, and how many.
        fields: keys that are asked for.
        dropped: keys that are passed over.
        roles: the key whose members are merged with those of all other keys, and which of the fields holds times.
        limits: bytes of a row, and of what is merged; a row beyond is a suspect.

    Returns:
        By field its column, None where no row has it; `properties`, merged and canonical; times that are
        plain ISO 8601 with a zone; bits of the suspects.

    Raises:
        ValueError: the buffers have fewer rows.
        RuntimeError: a fault of this module.
    """

def fail() -> None:
    """Raise RuntimeError, from a panic."""
