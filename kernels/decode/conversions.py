"""The one table of conversions: how a cell becomes a value of each kind of field.

Each is there twice: `exact` is the definition, one cell at a time in plain Python, and says what is wrong;
`screen` does whole columns and vouches only for cells of which it is certain to give the same. What no
screen vouches for is decided by `exact`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import polars as pl

from ecompulse.kernels.decode.cells import Cell, Reading
from ecompulse.kernels.decode.numbers import exact_integer, exact_money, screen_integer, screen_money
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.decode.times import exact_time, screen_time
from ecompulse.kernels.event import MAX_FIELD_BYTES, Kind

Value = str | int | Decimal
_SCALAR: Final = re.compile(r"-?[0-9].*|true|false", re.DOTALL)
_PLAIN_DIGITS: Final = r"^-?[0-9]{1,18}$"


@dataclass(frozen=True)
class Conversion:
    """How cells of one kind become values.

    Attributes:
        exact: the value of a cell; raises BrokenRule.
        screen: of (text, quoted) columns, the values and a Boolean: certain to equal `exact`.
    """

    exact: Callable[[Cell, Reading], Value]
    screen: Callable[[pl.Expr, pl.Expr, Reading], tuple[pl.Expr, pl.Expr]]


def exact_text(cell: Cell, reading: Reading) -> str:
    """The text; of a number or boolean, where that is allowed, as it was written.

    Raises:
        BrokenRule: wrong_type.
    """
    if cell.quoted or (reading.lenient and _SCALAR.fullmatch(cell.text)):
        return cell.text
    raise BrokenRule(Rule.WRONG_TYPE, "is not text")


def screen_text(text: pl.Expr, quoted: pl.Expr, reading: Reading) -> tuple[pl.Expr, pl.Expr]:
    """Texts, and where they are certain to be what `exact_text` gives."""
    return text, (quoted | text.str.contains(_PLAIN_DIGITS)) if reading.lenient else quoted


CONVERSIONS: Final[Mapping[Kind, Conversion]] = MappingProxyType(
    {
        Kind.TEXT: Conversion(exact_text, screen_text),
        Kind.MONEY: Conversion(exact_money, screen_money),
        Kind.INTEGER: Conversion(exact_integer, screen_integer),
        Kind.TIME: Conversion(exact_time, screen_time),
    }
)
"""By kind; objects are merged with the unknown fields (`properties`)."""


def check_size(text: str) -> None:
    """Refuse a value over `MAX_FIELD_BYTES` (UTF-8).

    Raises:
        BrokenRule: field_too_large.
    """
    size = len(text.encode()) if len(text) * 4 > MAX_FIELD_BYTES else 0
    if size > MAX_FIELD_BYTES:
        raise BrokenRule(Rule.FIELD_TOO_LARGE, f"has {size} bytes, more than {MAX_FIELD_BYTES}")
