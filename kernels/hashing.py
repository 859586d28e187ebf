"""Stable hashes: the same on every machine, in every process, in every version of this package.

xxHash3 (64 bits, seeded) and SHA-256 of UTF-8 text, by `polars-hash`. Polars' own `hash()` may change between
versions and Python's is seeded per process, so neither may touch state, shards or ids.
"""

from typing import Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` and `chash` namespaces of expressions

_SEPARATOR: Final = "\x1f"  # ASCII unit separator
_NULL: Final = "\x1e"
ID_DIGITS: Final = 32
_FINGERPRINT: Final = (
    pl.col("key").nchash.xxh3_64(seed=0).alias("hi"),  # type: ignore[attr-defined]
    pl.col("key").nchash.xxh3_64(seed=1).alias("lo"),  # type: ignore[attr-defined]
)


def shard_of(key: pl.Series, num_shards: int) -> pl.Series:
    """Shard of each key, 0 to `num_shards` - 1 (Int64)."""
    return shard_of_fingerprint(fingerprint(key)["lo"], num_shards)


def shard_of_fingerprint(lo: pl.Series, num_shards: int) -> pl.Series:
    """Shard of each key by the second half of its fingerprint: state can be resharded without the key's text."""
    return (lo % num_shards).cast(pl.Int64).rename("shard")


def fingerprint(key: pl.Series) -> pl.DataFrame:
    """128-bit hash of each key as columns `hi` and `lo` (UInt64); nulls give nulls.

    Two of 10^9 keys collide with a probability below 10^-20.
    """
    return pl.DataFrame([key.cast(pl.String).alias("key")]).select(_FINGERPRINT)


def escaped(text: pl.Expr) -> pl.Expr:
    """Text that may be joined by U+001F to others: what it has of that, or of U+001E, stands behind a U+001E."""
    return text.str.replace_all("[\x1e\x1f]", "\x1e$0")


def row_id(*parts: str | pl.Expr) -> pl.Expr:
    """A row's deterministic id: 32 hexadecimal digits of SHA-256 over its identifying content.

    A part is a column's name or an expression; nulls and empty texts differ; numbers and times hash as their
    text. Position, epoch and attempt must not be among the parts. Of several parts of free text all are `escaped`.
    """
    texts = [(pl.col(part) if isinstance(part, str) else part).cast(pl.String) for part in parts]
    joined = pl.concat_str([text.fill_null(_NULL) for text in texts], separator=_SEPARATOR)
    digest: pl.Expr = joined.chash.sha2_256()  # type: ignore[attr-defined]
    return digest.str.slice(0, ID_DIGITS)
