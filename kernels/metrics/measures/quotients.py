"""A count or sum per time, and one number over another."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import polars as pl

from ecompulse.kernels.config import ConfigError, Duration, load_config
from ecompulse.kernels.metrics.expressions import Expression
from ecompulse.kernels.metrics.measures.base import FINE, UNIT, Measure, divided, half_even, length_ms
from ecompulse.kernels.metrics.measures.parse import narrowed, parse_part

_SIDES: Final = 2


@dataclass(frozen=True)
class PerOptions:
    """Beside `rate`.

    Attributes:
        per: ms; unit of time.
    """

    per: Duration = 1_000

    def __post_init__(self) -> None:
        if self.per < 1:
            raise ConfigError("per", "must be 1ms or more")


@dataclass(frozen=True)
class Rate(Measure):
    """`rate: count` or `rate: {sum: expression}`, `per` a unit of time.

    Attributes:
        per: ms.
    """

    name: ClassVar[str] = "rate"
    options: ClassVar[type] = PerOptions
    quotient: ClassVar[bool] = True
    per: int = 1_000

    @classmethod
    def read(cls, given: object, where: Expression | None, options: PerOptions) -> Self:
        """Of a count or sum."""
        return cls((narrowed(parse_part("rate", given, "count", "sum"), where),), options.per)

    def denominator(self) -> pl.Expr:
        """Units of time in the window."""
        return half_even(length_ms() * UNIT, pl.lit(self.per, pl.Int128))

    def value(self) -> pl.Expr:
        """By the window's exact length."""
        return half_even(pl.col("units0") * self.per * (FINE // UNIT), length_ms())


@dataclass(frozen=True)
class _Sides:
    numerator: object
    denominator: object


class Ratio(Measure):
    """`ratio: [numerator, denominator]`, or a mapping of these; null where nothing is divided by."""

    name: ClassVar[str] = "ratio"
    quotient: ClassVar[bool] = True

    @classmethod
    def read(cls, given: object, where: Expression | None, options: Any) -> Self:  # noqa: ARG003
        """Of two plain measures."""
        if isinstance(given, list):
            if len(given) != _SIDES:
                raise ConfigError("ratio", "give two measures, numerator and denominator")
            sides = _Sides(*given)
        else:
            try:
                sides = load_config(_Sides, given)
            except ConfigError as error:
                raise ConfigError(f"ratio.{error.path}".strip("."), error.message) from None
        named = (("ratio.numerator", sides.numerator), ("ratio.denominator", sides.denominator))
        return cls(tuple(narrowed(parse_part(path, side), where) for path, side in named))

    def denominator(self) -> pl.Expr:
        """The second part."""
        return pl.col("units1").fill_null(0)

    def value(self) -> pl.Expr:
        """Rounded half to even."""
        return divided()
