"""Randomness as integers: PCG64's raw words, so that equal seeds give equal bytes on every machine.

NumPy promises the words of a bit generator, but not the values of `Generator`'s distributions, and floating
point differs in its last bit between processors. So every decision here is integer arithmetic on raw words.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_POINTS: Final = 256
_FRACTION_BITS: Final = 24
MAX_TOTAL: Final = 2**31 - 1
"""Largest sum of weights, and largest limit of `Draw.below`: a product with 32 bits must fit 63."""


def cumulative(weights: Sequence[int] | Ints) -> Ints:
    """Running sum of whole weights, as `Draw.pick` wants it.

    Raises:
        ValueError: the sum is 0 or above `MAX_TOTAL`.
    """
    total = np.cumsum(np.asarray(weights, dtype=np.int64))
    if not 0 < int(total[-1]) <= MAX_TOTAL:
        raise ValueError(f"weights must sum to 1..{MAX_TOTAL}, not {int(total[-1])}")
    return total


def zipf(size: int, flattening: int = 3) -> Ints:
    """Weights of ranks 0 to `size` - 1 falling like 1/(rank + `flattening`): Zipf-Mandelbrot, exponent 1."""
    return np.int64(10**8) // (np.arange(size, dtype=np.int64) + flattening)


def log_normal(median: int, sigma: float, top: int) -> Ints:
    """Quantile table of a log-normal, cut at `top`, for `Draw.quantile`; unit of `median`.

    Rounding to whole units hides the last bit in which mathematical libraries differ.
    """
    points = ((step + 0.5) / (_POINTS + 1) for step in range(_POINTS + 1))
    values = [round(median * math.exp(sigma * NormalDist().inv_cdf(point))) for point in points]
    return np.minimum(np.asarray(values, dtype=np.int64), top)


class Draw:
    """One stream of randomness, named by the seed and the purpose; streams do not touch each other.

    Every method's first argument is how many values to draw.
    """

    def __init__(self, seed: int, *stream: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream))

    def words(self, size: int) -> npt.NDArray[np.uint64]:
        """Uniform 64-bit words."""
        return np.asarray(self._bits.random_raw(size), dtype=np.uint64)

    def _high(self, size: int) -> Ints:
        return (self.words(size) >> np.uint64(32)).astype(np.int64)

    def below(self, size: int, limit: int | Ints) -> Ints:
        """Uniform in 0 to `limit` - 1; a limit per value may be given."""
        scaled: Ints = (self._high(size) * np.int64(limit) if isinstance(limit, int) else
                        self._high(size) * limit) >> np.int64(32)  # fmt: skip
        return scaled

    def between(self, size: int, low: int, high: int) -> Ints:
        """Uniform in `low` to `high` - 1, for spans of up to 2**62."""
        return (self.words(size) % np.uint64(high - low)).astype(np.int64) + np.int64(low)

    def chance(self, size: int, rate: float) -> Bools:
        """True with probability `rate` (0 to 1)."""
        flags: Bools = self._high(size) < int(rate * 2**32)
        return flags

    def pick(self, size: int, weights: Ints) -> Ints:
        """Positions by weight; `weights` from `cumulative`."""
        drawn = self.below(size, int(weights[-1]))
        return np.searchsorted(weights, drawn, side="right").astype(np.int64)

    def quantile(self, size: int, table: Ints) -> Ints:
        """Values of the distribution that a table of quantiles describes, interpolated."""
        drawn = self._high(size)
        step, fraction = drawn >> _FRACTION_BITS, drawn & (2**_FRACTION_BITS - 1)
        low, high = table[step], table[step + 1]
        values: Ints = low + (((high - low) * fraction) >> _FRACTION_BITS)
        return values

    def tokens(self, size: int, digits: int = 32, prefix: str = "") -> pl.Series:
        """Texts of `digits` hexadecimal digits (a multiple of 16) behind a prefix."""
        per_token = digits // 16
        raw = self.words(size * per_token).astype("<u8").tobytes()
        fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(digits // 2), size, [None, pa.py_buffer(raw)])
        texts = pl.Series(fixed.cast(pa.large_binary()), dtype=pl.Binary).bin.encode("hex")
        return prefix + texts if prefix else texts
