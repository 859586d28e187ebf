"""Frames as bytes and back."""

import io
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.epochs.arrow import decode, encode
from ecompulse.kernels.event import MONEY, TIME

FRAME = pl.DataFrame(
    {
        "text": ["a", None, "more than twelve bytes"],
        "number": [1, None, -(2**63)],
        "money": [Decimal("1.2345"), None, Decimal(-1)],
        "time": [datetime(2026, 1, 1, tzinfo=UTC), None, None],
        "list": [[1.5, None], [], None],
        "struct": [{"a": b"\x00"}, None, {"a": None}],
        "hash": [2**64 - 1, 0, None],
    },
    schema={
        "text": pl.String(), "number": pl.Int64(), "money": MONEY, "time": TIME, "list": pl.List(pl.Float64()),
        "struct": pl.Struct({"a": pl.Binary()}), "hash": pl.UInt64(),
    },
)  # fmt: skip


@pytest.mark.parametrize("frame", [FRAME, FRAME.clear(), FRAME.select([]), pl.concat([FRAME, FRAME], rechunk=False)])
@pytest.mark.parametrize("compression", ["uncompressed", "lz4"])
def test_a_frame_comes_back_as_it_was(frame, compression):
    again = decode(encode(frame, compression))
    assert again.schema == frame.schema
    assert again.equals(frame)


def test_files_of_older_checkpoints_are_read():
    file = io.BytesIO()
    FRAME.write_ipc(file, compression="lz4")
    assert decode(file.getvalue()).equals(FRAME)
