"""What a measure is: what of a row it takes, what it keeps of a slice, how slices add up, what a window is worth.

A measure is one frozen dataclass in one file; its name in `registry.py`, or a call of `register_measure`, makes it a
key of `measure:`. Its instance is what one metric says: options and parts. Values go through four stages:

1. a batch: `partial`, rows to one row per slice (and `shrink`, before these are shuffled);
2. state: `count` and `total` of equal slices add up, of `low` the least, of `high` the greatest stands; columns of its
   own are merged by `merge`;
3. a window: `units`, an expression of the sums over its slices, or `over`, of its own columns;
4. the output: `denominator` and `value`, or `rows` where a window has several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol, Self

import polars as pl

from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.ranges import Ranges
from ecompulse.kernels.metrics.terms import number
from ecompulse.kernels.metrics.typed import SCALE, Type, Typed

UNIT: Final = 10**SCALE
"""Amounts are whole units of 1/10^4."""

FINE: Final = 10**6
"""Values are whole units of 1/10^6."""

SLICE: Final = ("sid", "slice", "part")
"""What names a slice of a part of a series in a step."""

Columns = Mapping[str, pl.DataType]


@dataclass(frozen=True)
class NoOptions:
    """Of a measure that has none."""


@dataclass(frozen=True)
class Part:
    """One aggregate of rows.

    Attributes:
        measure: how rows are aggregated.
        of: what is summed, counted (rows where it is not null) or ranked; None only for a plain `count`.
        where: of which rows, besides the metric's filter.
    """

    measure: "Measure"
    of: Expression | None = None
    where: Expression | None = None


@dataclass(frozen=True)
class Measure:
    """What a metric's value is.

    Attributes:
        name: its key in YAML.
        options: dataclass of the keys that may stand beside it.
        plain: it is one number, of which a ratio can be made.
        quotient: its value is a numerator over a denominator.
        money: of amounts it is an amount, which has a currency.
        extremes: it needs `low` or `high` of slices.
        dimension: name by which the rows of a window are told apart; None if there is one.
        unbounded: it may have any number of items.
        slices: columns of its own in partial aggregates; `item` is there for all: rows with one are further ones.
        state: columns of its own in state, one row per slice.
        parts: one aggregate; of a ratio numerator and denominator.
    """

    name: ClassVar[str]
    options: ClassVar[type] = NoOptions
    plain: ClassVar[bool] = False
    quotient: ClassVar[bool] = False
    money: ClassVar[bool] = True
    extremes: ClassVar[bool] = False
    dimension: ClassVar[str | None] = None
    unbounded: ClassVar[bool] = False
    slices: ClassVar[Columns] = {}
    state: ClassVar[Columns] = {}
    parts: tuple[Part, ...] = ()

    @classmethod
    def read(cls, given: object, where: Expression | None, options: Any) -> Self:  # noqa: ARG003  # it has none
        """The measure that YAML gives.

        Args:
            given: what stands under its name.
            where: of which rows.
            options: an instance of `options`.

        Raises:
            ValueError: says what is wrong; ConfigError with the path below the measure.
        """
        return cls((Part(cls(), as_expression(given), where),))

    @property
    def bare(self) -> Self:
        """The same without its parts: what two metrics may have in common."""
        return replace(self, parts=())

    def aggregates(self, made: Sequence["Aggregate"]) -> tuple["Aggregate", ...]:
        """Its compiled parts, as they are aggregated."""
        return tuple(made)

    def column(self, found: Typed, text: str) -> tuple[pl.Expr, int]:
        """What is taken of a row (Int64 or String), and its decimals; ValueError for a type that does not fit."""
        found = number(found, text)
        return found.expr, SCALE if found.type is Type.AMOUNT else 0

    def partial(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """A batch's rows (`keys`, `value` if there is one, `by` of a ranking) aggregated: `keys` and own columns."""
        raise NotImplementedError

    def shrink(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Partial aggregates of a batch made smaller, if they are large; by `series`, `slice`, `part`."""
        return rows

    def merge(self, held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
        """SLICE and `state`, one row per slice, of state (`held`) and partial aggregates (`fresh`) that have some."""
        raise NotImplementedError

    def over(self, sketches: pl.DataFrame, windows: Ranges) -> Mapping[str, pl.Series]:  # noqa: ARG002
        """Columns for `units`, one row per window.

        Args:
            sketches: SLICE and `state`, sorted by series and slice.
            windows: rows of these per window, both bounds nondecreasing.
        """
        return {}

    def units(self) -> pl.Expr:
        """A window's number in units of 1/10^4 (Int128), of `size`, `total`, `low`, `high`, `scaled` and `over`."""
        return pl.col("total") * pl.col("scaled")

    def off(self) -> pl.Expr:
        """How far `units` may be off."""
        return pl.lit(0, pl.Int128)

    def denominator(self) -> pl.Expr:
        """What `numerator`, the units of its first part, is divided by, if anything; of `size0 units1 start end`."""
        return pl.lit(None, pl.Int128)

    def value(self) -> pl.Expr:
        """In units of 1/10^6 (Int128), of `units0`, `size0`, `units1`, `size1`, `denominator`, `start`, `end`."""
        return pl.col("units0") * (FINE // UNIT)

    def rows(self, windows: pl.DataFrame, slices: "Slices", specs: Sequence["Described"]) -> pl.DataFrame:
        """Of a measure with a `dimension`, in the place of `value`: rows of `windows` with what `evaluate` adds.

        A window may have several, or none.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Aggregate:
    """A part of a measure, compiled.

    Attributes:
        measure: how its rows are aggregated.
        value: Int64 (String for `distinct` and `top`), or None for a count of rows.
        scale: decimals of `value`: 4 for amounts, 0 else.
        condition: of which rows; None = all.
        types: event types for which the condition can hold; None = any.
        label: equal for equal aggregates.
        by: of a ranking, what ranks (`count` or `sum`).
    """

    measure: Measure
    value: pl.Expr | None
    scale: int
    condition: pl.Expr | None
    types: frozenset[str] | None
    label: tuple[str, ...]
    by: "Aggregate | None" = None


@dataclass(frozen=True)
class Slices:
    """Slices of some series.

    Attributes:
        plain: `sid`, `slice`, `part`, `count`, `total`, `low`, `high`, `fresh`; each once, sorted by part, sid, slice.
        sketches: `sid`, `slice`, `part`, `measure` (its name) and what measures keep, in the same order; maybe empty.
    """

    plain: pl.DataFrame
    sketches: pl.DataFrame

    def of_measure(self, name: str) -> pl.DataFrame:
        """Sketches of a measure."""
        return self.sketches.filter(pl.col("measure") == name)

    def marks(self) -> pl.DataFrame:
        """Slices that have data in any part: `sid`, `slice`, `fresh`; sorted."""
        marks = self.plain.select("sid", "slice", "fresh")
        if (self.plain["part"] == 0).all():
            return marks
        return marks.group_by("sid", "slice").agg(pl.col("fresh").any()).sort("sid", "slice")


class Described(Protocol):
    """What a measure is told of a metric: decimals of its parts, and the name of the dimension for what it ranks."""

    @property
    def scales(self) -> tuple[int, ...]:
        """Of its parts."""
        ...

    @property
    def item(self) -> str:
        """Empty where it ranks nothing."""
        ...


def as_expression(value: object) -> Expression:
    """An expression of text.

    Raises:
        ValueError: names what is wrong.
    """
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  # a user's file, not a programmer's type
            f"expected an expression as text, found {value!r}"
        )
    return Expression(value)


def count_of_rows() -> pl.Expr:
    """Rows of a group, as `count`."""
    return pl.len().cast(pl.Int64).alias("count")


def half_even(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Quotient of whole numbers (Int128) rounded half to even; null for a denominator of 0."""
    below = pl.when(denominator != 0).then(denominator)
    floor, rest = numerator // below, numerator % below
    up = (rest * 2 > below) | ((rest * 2 == below) & (floor % 2 != 0))
    return floor + up.cast(pl.Int128)


def divided() -> pl.Expr:
    """The value of what has a denominator."""
    return half_even(pl.col("units0") * FINE, pl.col("denominator"))


def length_ms() -> pl.Expr:
    """Of a window."""
    return (pl.col("end") - pl.col("start")).cast(pl.Int128)


def decimal_text(value: Decimal) -> str:
    """A decimal as it is written, without an exponent."""
    return format(value, "f")
