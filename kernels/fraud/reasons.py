"""Why a transaction is flagged: the features in which it is furthest out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.entity_timeline import Floats, Ints
from ecompulse.kernels.fraud.scoring_runs import ScoringRun
from ecompulse.kernels.segments import Flags

REASON: Final = pl.Struct({"feature": pl.String(), "value": pl.Float64(), "usual": pl.Float64()})
_MOST: Final = 3
_LEAST: Final = 1.0  # surprise below which a feature is no reason
_SCHEMA: Final = pl.Schema(
    {"row": pl.Int64(), "feature": pl.String(), "value": pl.Float64(), "usual": pl.Float64(), "surprise": pl.Float64()}
)


@dataclass(frozen=True)
class VersionRun:
    """Rows of one version.

    Attributes:
        version: names what scored them.
        lines: the rows.
        scores: of each.
        surprises: of each by each feature that was looked at.
        usual: median of each of these features.
    """

    version: str
    lines: ScoringRun
    scores: Floats
    surprises: Floats
    usual: Floats


def spell_of_rows(spells: Sequence[VersionRun]) -> Ints:
    """Of each row of all spells, which of these it is in."""
    return np.repeat(np.arange(len(spells)), [spell.scores.size for spell in spells])


def reasons_of(spells: Sequence[VersionRun], told: Flags, chosen: Ints, features: Sequence[str]) -> pl.Series:
    """Of each row that is told (over all spells) at most three features, with their value and their median.

    `chosen`: numbers of the features that were looked at.
    """
    rows = np.flatnonzero(told)
    surprises = np.concatenate([spell.surprises for spell in spells])[rows]
    owner = spell_of_rows(spells)[rows]
    order = np.argsort(-surprises, axis=1, kind="stable")[:, :_MOST]
    values = spells[0].lines.lines.columns[spells[0].lines.low + rows[:, None], chosen[order]]
    usual = np.array([spell.usual for spell in spells])[owner[:, None], order]
    cells = (
        np.repeat(rows, order.shape[1]), np.array(features)[chosen[order]].ravel(), values.ravel().astype(np.float64),
        usual.ravel(), np.take_along_axis(surprises, order, axis=1).ravel(),
    )  # fmt: skip
    reasons = pl.DataFrame(dict(zip(_SCHEMA, cells, strict=True)), schema=_SCHEMA)
    reasons = reasons.filter(pl.col("surprise") >= _LEAST).with_columns(pl.col("usual").fill_nan(None))
    listed = reasons.group_by("row", maintain_order=True).agg(
        pl.struct("feature", pl.col("value").round_sig_figs(5), pl.col("usual").round_sig_figs(3)).alias("reasons")
    )
    every = pl.DataFrame({"row": np.arange(told.size)}).join(listed, on="row", how="left", maintain_order="left")
    return every["reasons"].cast(pl.List(REASON)).fill_null(pl.Series([[]], dtype=pl.List(REASON)))
