"""Values of stores whose columns hold anything, as texts, to columns of the declared types."""

from collections.abc import Mapping, Sequence

import polars as pl

from ecompulse.io.lookups.store import KEY, LookupSpec
from ecompulse.kernels.config import nearest
from ecompulse.kernels.decode.json_rows import utf8
from ecompulse.kernels.enrich.column_values import lost, read_text
from ecompulse.kernels.enrich.lookup import FOUND_STATUS
from ecompulse.kernels.enrich.status import MALFORMED, OK

Bytes = Sequence[bytes | None] | pl.Series
"""Texts in UTF-8, as a store gives them; what is no UTF-8 among them is malformed."""


def declared_columns(spec: LookupSpec) -> pl.Schema:
    """The columns that the step declares, or those of them that `columns=a,b` chooses.

    Raises:
        ValueError: none is declared, or a chosen one is not.
    """
    if not spec.declared:
        raise ValueError(f"{spec}: the store has no schema; give the step columns: {{name: text, ...}}")
    for name in spec.chosen or ():
        if name not in spec.declared:
            raise ValueError(f"{spec}: column {name} is not declared{nearest(name, spec.declared)}")
    return pl.Schema({name: spec.declared[name] for name in spec.chosen or spec.declared})


def to_bytes(text: str) -> bytes:
    """A text as `typed_rows` takes it; half a surrogate pair, which JSON can write, is no UTF-8 here either."""
    return text.encode(errors="surrogatepass")


def typed_rows(
    keys: Sequence[str] | pl.Series, texts: Mapping[str, Bytes], columns: pl.Schema, wrong: Sequence[bool] = ()
) -> pl.DataFrame:
    """`key`, `columns` and `status`; a value that its type cannot hold is null, and the row `malformed`.

    Args:
        keys: of the rows.
        texts: by column, a value per row in UTF-8; None where there is none.
        columns: declared types.
        wrong: rows that have more wrong than their texts say; none, if it is empty.
    """
    given = [pl.Series(f"g{at}", texts[name], pl.Binary) for at, name in enumerate(columns)]
    read = [utf8(column).alias(f"t{at}") for at, column in enumerate(given)]
    more = pl.Series("wrong", wrong or [False] * len(keys), pl.Boolean)
    frame = pl.DataFrame([pl.Series(KEY, keys, pl.String), more, *given, *read])
    values = {name: read_text(pl.col(f"t{at}"), dtype) for at, (name, dtype) in enumerate(columns.items())}
    bad = pl.any_horizontal(
        pl.col("wrong"), *(lost(pl.col(f"g{at}"), value) for at, value in enumerate(values.values()))
    )
    return frame.select(KEY, *(value.alias(name) for name, value in values.items()), found_status(bad))


def found_status(bad: pl.Expr) -> pl.Expr:
    """The column `status` of rows that were found."""
    return pl.when(bad).then(pl.lit(MALFORMED)).otherwise(pl.lit(OK)).alias(FOUND_STATUS)
