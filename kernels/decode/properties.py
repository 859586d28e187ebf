"""`properties` in columns: unknown fields and the given object merged into canonical JSON text."""

import json
from typing import Final, NamedTuple

import polars as pl

from ecompulse.kernels.decode.batch import Batch, all_of, nothing
from ecompulse.kernels.decode.object_members import members_of
from ecompulse.kernels.decode.strict_json import canonical_again
from ecompulse.kernels.event import MAX_FIELD_BYTES

# Values whose text is canonical as DuckDB writes it. It escapes control characters as Python does but for the
# case of \u; it writes doubles at shortest as Python does, but Python turns to exponents below 0.0001.
_PLAIN_NUMBER: Final = r"^(?:[0-9]{1,19}|-[0-9]{1,18}|-?[1-9][0-9]{0,8}\.[0-9]+|-?0\.[0-9]{1,4})$"
_WORDS: Final = ("true", "false", "null")
_EMPTY: Final = "{}"


class Merged(NamedTuple):
    """The `properties` of a batch.

    Attributes:
        text: canonical JSON text, null where there is nothing.
        certain: rows where it is what `decode_row` gives.
    """

    text: pl.Series
    certain: pl.Series


def merge_properties(batch: Batch) -> Merged:
    """Unknown fields and the members of `properties` as one object each.

    A key in both is left to `decode_row`, which refuses it.
    """
    if batch.merged is not None:
        return Merged(batch.merged, all_of(True, batch.height))
    given = batch.properties if batch.properties is not None else nothing(batch.height)
    if not batch.unknown and given.null_count() == batch.height:
        return Merged(given, all_of(True, batch.height))
    objects = given.str.starts_with("{").fill_null(value=True)
    filled = pl.DataFrame({"given": given, "is": objects & (given != _EMPTY)}).select(pl.when("is").then("given"))
    inner = members_of(filled.to_series(), keep_null=True)
    columns, certain = _columns(batch, inner.columns)
    certain &= objects & ~inner.suspects
    text = join_objects(columns, has=given.is_not_null())
    certain &= (text.str.len_bytes() <= MAX_FIELD_BYTES).fill_null(value=True)
    return Merged(text, certain)


def _columns(batch: Batch, inner: dict[str, pl.Series]) -> tuple[dict[str, pl.Series], pl.Series]:
    """Canonical text by key of both, and the rows in which each value is one and certain."""
    certain = all_of(True, batch.height)
    columns: dict[str, pl.Series] = {}
    for source in (batch.unknown, inner):
        for key, column in source.items():
            text, sure = canonical(column)
            certain &= sure
            if key in columns:
                certain &= columns[key].is_null() | text.is_null()
                text = columns[key].to_frame("a").select(pl.coalesce("a", text)).to_series()
            columns[key] = text
    return columns, certain


def canonical(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Canonical text of JSON values, and where it is certain; the odd ones once per distinct text."""
    value = pl.col("value")
    text = value.str.starts_with('"') & ~value.str.contains("\\u", literal=True)
    plain = value.is_null() | text | value.str.contains(_PLAIN_NUMBER) | value.is_in(_WORDS)
    frame = column.to_frame("value").with_columns(plain=plain)
    if frame["plain"].all():
        return frame["value"], frame["plain"]
    odd = frame.filter(~pl.col("plain"))["value"].unique()
    again = pl.Series([canonical_again(text) for text in odd], dtype=pl.String)
    mapped = value.replace_strict(odd, again, default=None, return_dtype=pl.String)
    frame = frame.select(value=pl.when("plain").then(value).otherwise(mapped), was=value.is_not_null())
    return frame["value"], ~(frame["was"] & frame["value"].is_null())


def join_objects(columns: dict[str, pl.Series], *, has: pl.Series) -> pl.Series:
    """One object per row of its non-null members (JSON text by key), keys sorted; null if none and not `has`."""
    if not columns:
        return pl.DataFrame({"has": has}).select(pl.when("has").then(pl.lit(_EMPTY))).to_series()
    keys = sorted(columns)
    frame = pl.DataFrame({f"c{number}": columns[key] for number, key in enumerate(keys)})
    pieces = [
        pl.lit(f",{json.dumps(key, ensure_ascii=False)}:") + pl.col(f"c{number}") for number, key in enumerate(keys)
    ]
    joined = pl.concat_str(pieces, ignore_nulls=True).str.slice(1)
    some = pl.any_horizontal(pl.col(f"c{number}").is_not_null() for number in range(len(keys)))
    text = pl.when(some | pl.lit(has)).then(pl.concat_str(pl.lit("{"), joined, pl.lit("}")))
    return frame.select(text).to_series()
