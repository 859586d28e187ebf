"""Money and integers: exactly, one cell at a time, and as a screen of whole columns."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final

import polars as pl

from ecompulse.kernels.decode.cells import Cell, Reading
from ecompulse.kernels.decode.rules import BrokenRule, Rule
from ecompulse.kernels.event import MONEY, MONEY_LIMIT

_LIMIT: Final = Decimal(MONEY_LIMIT)
INTEGER_LIMIT: Final = 2**63
_SCALE: Final = 4
_EXACT: Final = Context(prec=40)  # more than quantize() below can need

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
MAX_DIGITS: Final = 300
"""An integer of more digits is out of every range (and Python would take long to read it)."""

# Numbers of JSON reach the screens through a double. Within these shapes that cannot change a result: up to
# 18 digits integers are kept as such; with 9 digits before the point a double is finer than 10^-6, so that
# rounding to 4 decimals comes out the same unless the number stands exactly between two amounts.
_PLAIN_MONEY: Final = r"^-?[0-9]{1,9}(?:\.[0-9]+)?$"
_BETWEEN: Final = r"\.[0-9]{4}50*$"
_PLAIN_MINOR: Final = r"^-?[0-9]{1,11}$"
_PLAIN_INTEGER: Final = r"^-?(?:[0-9]{1,18}|[0-9]{1,15}\.0)$"


def number_text(cell: Cell, reading: Reading) -> str:
    """The text of a cell that is a finite number.

    Raises:
        BrokenRule: wrong_type or not_finite.
    """
    if cell.quoted and not reading.lenient:
        raise BrokenRule(Rule.WRONG_TYPE, "is text, not a number")
    text = cell.text.strip()
    if _NUMBER.fullmatch(text):
        return text
    if _NOT_FINITE.fullmatch(text):
        raise BrokenRule(Rule.NOT_FINITE, "is not a finite number")
    raise BrokenRule(Rule.WRONG_TYPE, "is not a number")


def exact_money(cell: Cell, reading: Reading) -> Decimal:
    """The amount, rounded half to even at 4 decimals; from the digits as written, never through a double.

    Raises:
        BrokenRule: wrong_type, not_finite, out_of_range.
    """
    number = _decimal(number_text(cell, reading))
    if number and number.adjusted() > _LIMIT.adjusted() + reading.minor_digits:
        raise BrokenRule(Rule.OUT_OF_RANGE, "does not fit decimal(18,4)")
    step = Decimal(1).scaleb(reading.minor_digits - _SCALE)
    rounded = number.quantize(step, ROUND_HALF_EVEN, _EXACT) if number else Decimal(0)
    amount = rounded.scaleb(-reading.minor_digits, _EXACT).quantize(Decimal(1).scaleb(-_SCALE), None, _EXACT)
    if abs(amount) >= _LIMIT:
        raise BrokenRule(Rule.OUT_OF_RANGE, "does not fit decimal(18,4)")
    return amount + 0  # no negative zero


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of more digits than Decimal can hold
        if float(text) == 0:
            return Decimal(0)
        raise BrokenRule(Rule.OUT_OF_RANGE, "does not fit decimal(18,4)") from None


def screen_money(text: pl.Expr, quoted: pl.Expr, reading: Reading) -> tuple[pl.Expr, pl.Expr]:
    """Amounts, and where they are certain to be what `exact_money` gives."""
    typed = pl.lit(value=True) if reading.lenient else ~quoted
    if reading.minor_digits:
        plain = text.str.contains(_PLAIN_MINOR)
        unit = 10**reading.minor_digits
        value = text.cast(pl.Decimal(18, _SCALE), strict=False) / unit
    else:
        plain = text.str.contains(_PLAIN_MONEY) & ~text.str.contains(_BETWEEN)
        value = text
    return value.cast(MONEY, strict=False), plain & typed


def exact_integer(cell: Cell, reading: Reading) -> int:
    """The integer; one written with a point or exponent is the double it denotes, which must be whole.

    Raises:
        BrokenRule: wrong_type, not_finite, out_of_range.
    """
    text = number_text(cell, reading)
    value = whole(text)
    if value is None:
        raise BrokenRule(Rule.WRONG_TYPE, "is not an integer")
    if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise BrokenRule(Rule.OUT_OF_RANGE, "does not fit 64 bits")
    return value


def whole(text: str) -> int | None:
    """The integer that a number's text denotes, or None.

    Raises:
        BrokenRule: out_of_range, when a double cannot hold it.
    """
    if _WHOLE.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BrokenRule(Rule.OUT_OF_RANGE, "does not fit 64 bits")
    return int(number) if number.is_integer() else None


def screen_integer(text: pl.Expr, quoted: pl.Expr, reading: Reading) -> tuple[pl.Expr, pl.Expr]:
    """Integers, and where they are certain to be what `exact_integer` gives."""
    typed = pl.lit(value=True) if reading.lenient else ~quoted
    value = text.str.strip_suffix(".0").cast(pl.Int64, strict=False)
    return value, text.str.contains(_PLAIN_INTEGER) & typed
