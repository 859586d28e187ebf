"""Objects as columns: the keys that a batch of JSON objects has, and the values of each."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ecompulse.kernels.decode import duckdb_json

MAX_KEYS: Final = 200
"""Keys of one batch that become columns; rows with rarer ones are decoded one at a time."""

_CONTROL: Final = range(0x20)


@dataclass(frozen=True)
class Members:
    """The members of a batch of objects.

    Attributes:
        columns: JSON text of the values by key; null where absent.
        suspects: rows that are not believed: no JSON, no member at all, a key twice, too rare a key.
    """

    columns: dict[str, pl.Series]
    suspects: pl.Series


def members_of(text: pl.Series, *, keep_null: bool) -> Members:
    """The members of objects in JSON text; a null text has none and is no suspect.

    With `keep_null` a JSON null is the text `null`, else absent.
    """
    keys = duckdb_json.key_signatures(text)
    known, refused = _judge_signatures(keys)
    suspects = (keys.is_null() & text.is_not_null()) | keys.is_in(refused).fill_null(value=False)
    believed = text.to_frame("text").select(pl.when(~suspects).then("text")).to_series()
    extract = duckdb_json.members if keep_null else duckdb_json.values
    return Members(dict(zip(known, extract(believed, known), strict=True)), suspects)


def _judge_signatures(keys: pl.Series) -> tuple[list[str], list[str]]:
    """The keys that become columns, and the signatures whose rows are not believed.

    A loop over distinct signatures, commonest first: a batch has a handful.
    """
    counted = keys.drop_nulls().value_counts(sort=True).to_series()
    known: dict[str, None] = {}
    refused: list[str] = []
    for signature in counted:
        names = signature.split(duckdb_json.SEPARATOR)
        fresh = [name for name in names if name not in known]
        if not signature or len(set(names)) < len(names) or not _may_add(known, fresh):
            refused.append(signature)
        else:
            known.update(dict.fromkeys(fresh))
    return list(known), refused


def _may_add(known: dict[str, None], fresh: list[str]) -> bool:
    return len(known) + len(fresh) <= MAX_KEYS and not any(ord(c) in _CONTROL for key in fresh for c in key)
