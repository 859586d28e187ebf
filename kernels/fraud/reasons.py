"""Why a transaction is looked at: the features by which it is furthest out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.brain import Brain
from ecompulse.kernels.fraud.line import Floats
from ecompulse.kernels.fraud.stretch import Stretch

REASON: Final = pl.Struct({"feature": pl.String(), "value": pl.Float64(), "usual": pl.Float64()})
_MOST: Final = 3
_LEAST: Final = 1.0  # surprise below which a feature is no reason
_SCHEMA: Final = pl.Schema(
    {"row": pl.Int64(), "feature": pl.String(), "value": pl.Float64(), "usual": pl.Float64(), "surprise": pl.Float64()}
)


@dataclass(frozen=True)
class Spell:
    """Rows of one version: the brain that scored them, and their scores."""

    brain: Brain
    lines: Stretch
    scores: Floats


def reasons_of(spells: Sequence[Spell], told: np.ndarray, features: Sequence[str]) -> pl.Series:
    """Of each row that is told (boolean, over all spells) at most three features, with their value and their median."""
    names, parts = np.array(features), []
    begin = spells[0].lines.low
    for spell in spells:
        low = spell.lines.low - begin
        mine = np.flatnonzero(told[low : spell.lines.high - begin])
        if mine.size:
            parts.append((mine + low, *_furthest(spell, mine)))
    cells = [np.concatenate(part) for part in zip(*parts, strict=True)] if parts else [np.empty(0)] * 5
    cells[1] = names[cells[1].astype(np.int64)]
    cells[0] = np.repeat(cells[0], cells[2].size // max(cells[0].size, 1))
    reasons = pl.DataFrame(dict(zip(_SCHEMA, cells, strict=True)), schema=_SCHEMA)
    reasons = reasons.filter(pl.col("surprise") >= _LEAST).with_columns(pl.col("usual").fill_nan(None))
    listed = reasons.group_by("row", maintain_order=True).agg(
        pl.struct("feature", pl.col("value").round_sig_figs(5), pl.col("usual").round_sig_figs(3)).alias("reasons")
    )
    every = pl.DataFrame({"row": np.arange(told.size)}).join(listed, on="row", how="left", maintain_order="left")
    return every["reasons"].cast(pl.List(REASON)).fill_null(pl.Series([[]], dtype=pl.List(REASON)))


def _furthest(spell: Spell, mine: np.ndarray) -> tuple[np.ndarray, ...]:
    """Number, value, median and surprise of the most surprising features of rows, one row after the other."""
    profile, columns = spell.brain.profile, spell.lines.columns[mine]
    surprise, chosen = profile.surprises(spell.lines.bins[mine]), profile.chosen
    order = np.argsort(-surprise, axis=1, kind="stable")[:, :_MOST]
    value = np.take_along_axis(columns[:, chosen], order, axis=1).astype(np.float64)
    found = np.take_along_axis(surprise, order, axis=1)
    return chosen[order].ravel(), value.ravel(), profile.usual[order].ravel(), found.ravel()
