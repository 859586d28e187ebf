"""What a terminal would obey or hide is shown as an escape; all other text stays as it is."""

import io
import unicodedata

import pytest

from ecompulse.io.terminal import printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("over\rwritten\x08\x7f", r"over\rwritten\x08\x7f"),
        ("two\nlines\tand\x0b\x0c\x85\u2028\u2029", r"two\nlines\tand\x0b\x0c\x85\u2028\u2029"),
        ("\u202egnp.exe\u2066x\u2069\u200f\u061c", r"\u202egnp.exe\u2066x\u2069\u200f\u061c"),
        ("name-\udcff", r"name-\udcff"),
        ("nul\0", r"nul\x00"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["", "plain", "Grüße, 東京", "שלום مرحبا", "👩‍👩‍👧 می‌خواهم", r"\x1b stays", "a\u00a0b"]
)
def test_other_text_stays(text):
    assert printable(text) == text


def test_no_control_character_and_no_separator_of_lines_is_left():
    every = "".join(map(chr, range(0x110000)))
    assert not {unicodedata.category(each) for each in printable(every)} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(each) for each in printable(every)} & {
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"
    }  # fmt: skip


def test_a_line_is_one_line():
    out = io.StringIO()
    say("a\nb\x1b[2J", out)
    assert out.getvalue() == "a\\nb\\x1b[2J\n"
