"""How many rows a tool prints: so many on a screen, all in a file, and a cut that nobody asked for is said."""

import argparse
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ecompulse.cli.printing import print_frame
from ecompulse.epochs.errors import UserError
from ecompulse.io.terminal import say

_WHOLE: Final = ("json", "csv")
"""Formats of which all rows are printed where no limit is given: a program reads them."""


@dataclass(frozen=True)
class Limit:
    """Rows to print at the most.

    Attributes:
        given: by `--limit`; None without it.
        rows: what holds; None for all.
    """

    given: int | None
    rows: int | None

    @property
    def asked(self) -> int | None:
        """Rows to ask for: one more, which tells whether there are more; None for all."""
        return None if self.rows is None else self.rows + 1

    def show(self, program: str, frame: pl.DataFrame, form: str) -> None:
        """Print what is within the limit, of rows of which at least `asked` were asked for."""
        shown = frame if self.rows is None else frame.head(self.rows)
        cut = shown.height < frame.height
        print_frame(shown, form, whole=not cut)
        if cut and self.given is None:
            say(f"{program}: the first {self.rows} rows; --limit=N for more")


def add_limit(parser: argparse.ArgumentParser, usual: int | None) -> None:
    """The flag of a tool that prints rows; `limit_of` reads it."""
    default = f"{usual}; all in json and csv" if usual else "all"
    parser.add_argument("--limit", type=int, help=f"rows at the most [{default}]")


def limit_of(options: Any, usual: int | None) -> Limit:
    """The limit that a user gave, or `usual` rows on a screen; UserError for one below zero."""
    if options.limit is not None and options.limit < 0:
        raise UserError("--limit: must not be below zero")
    without = usual if usual and options.format not in _WHOLE else None
    return Limit(options.limit, without if options.limit is None else options.limit)
