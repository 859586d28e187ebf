"""What the command-line tools share: verbs with flags, tables on the terminal."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

import polars as pl

from ecompulse.epochs.errors import UserError


class ToolParser(argparse.ArgumentParser):
    """An argument parser whose errors are one clear line."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError."""
        raise UserError(f"{message}; see --help")


def print_table(frame: pl.DataFrame, *, rows: int = 50) -> None:
    """A frame as plain text, without Polars' shape and type lines."""
    with pl.Config(
        tbl_rows=rows,
        tbl_cols=-1,
        tbl_width_chars=10_000,
        fmt_str_lengths=60,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_BORDERS_ONLY_CONDENSED",
        float_precision=4,
    ):
        print(frame)


def print_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Names and values, aligned."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name:<{width}}  {value}")
