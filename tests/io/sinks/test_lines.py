"""CSV that a spreadsheet opens: no text of it is a formula, and nothing else is changed."""

import csv as reader
import io
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.io.sinks.lines import csv, json_lines


def cells(frame: pl.DataFrame) -> list[list[str]]:
    return list(reader.reader(io.StringIO(csv(frame), newline="")))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", '=HYPERLINK("http://x","y")', "+1", "-1", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
        "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", "=", "==",
    ],
)  # fmt: skip
def test_a_text_that_would_run_has_an_apostrophe_before_it(text):
    frame = pl.DataFrame({"a": [text], "b": pl.Series([text], dtype=pl.Categorical), "c": ["x"]})
    assert cells(frame)[1] == ["'" + text, "'" + text, "x"]
    assert cells(pl.DataFrame({text: [1]}))[0] == ["'" + text]


@pytest.mark.parametrize("text", ["a=1", "1-2", "x@example.org", "'=1", " x", "#x", "", "a\n=1", "Ünï"])
def test_other_texts_stay(text):
    assert cells(pl.DataFrame({"a": [text], "n": [1]}))[1] == [text, "1"]


def test_numbers_and_times_stay():
    frame = pl.DataFrame(
        {"i": [-1], "f": [-1.5], "d": [Decimal("-2.50")], "t": [datetime(2026, 3, 1, tzinfo=UTC)], "n": [None]}
    )
    found = cells(frame)[1]
    assert found[:3] == ["-1", "-1.5", "-2.50"]
    assert found[3].startswith("2026-03-01T00:00:00")
    assert found[4] == ""


def test_bytes_and_nested_values_are_text():
    frame = pl.DataFrame({"raw": [b"\xf8=", b"ab"], "s": [{"k": "=1"}, None], "l": [["=1"], None]})
    assert cells(frame)[1:] == [["'+D0=", '{"k": "=1"}', '["=1"]'], ["YWI=", "", ""]]


def test_json_is_not_guarded():
    assert json_lines(pl.DataFrame({"a": ["=1"]})) == b'{"a":"=1"}\n'
