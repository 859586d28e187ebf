"""Frames on the terminal: as a table, as records, as JSON lines and CSV."""

import shutil
import sys
from typing import Final

import polars as pl

from ecompulse.cli.tool import print_table, printable_frame, table_text
from ecompulse.io.sinks.lines import csv, json_lines
from ecompulse.io.terminal import say

FORMATS: Final = ("auto", "table", "record", "json", "csv")
WIDTH: Final = 100
"""Columns of a screen where there is none to ask."""

__all__ = ["FORMATS", "print_frame", "print_table"]


def print_frame(frame: pl.DataFrame, form: str, *, whole: bool = True) -> None:
    """Print all rows in one of the FORMATS; `whole`: there are no others."""
    if form == "json":
        print(json_lines(frame).decode(), end="")
    elif form == "csv":
        print(csv(frame), end="")
    elif form == "record" or (form == "auto" and frame.height and not _fits(frame)):
        print_records(frame, whole=whole)
    else:
        print_table(frame, rows=frame.height)


def print_records(frame: pl.DataFrame, *, whole: bool = True) -> None:
    """A line per column; columns without a value are counted, not shown. Only of the `whole` the number is said."""
    shown = printable_frame(frame)
    width = max((len(name) for name in shown.columns), default=0)
    total = f" of {shown.height}" if whole else ""
    for number, row in enumerate(shown.iter_rows(named=True), start=1):
        say(f"-- {number}{total} --", sys.stdout)
        empty = [name for name, value in row.items() if value is None]
        for name, value in row.items():
            if value is not None:
                say(f"{name:<{width}}  {value}", sys.stdout)
        if empty:
            say(f"{'without a value':<{width}}  {len(empty)} columns", sys.stdout)


def _fits(frame: pl.DataFrame) -> bool:
    """Whether a table of it is no wider than the screen."""
    return len(table_text(frame, rows=frame.height).split("\n", 1)[0]) <= shutil.get_terminal_size((WIDTH, 24)).columns
