"""Sums over windows of an entity's past, and what is kept of them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.buckets import settled
from ecompulse.kernels.fraud.entity import Entity
from ecompulse.kernels.fraud.entity_timeline import EntityTimeline, Floats, Ints, largest, sums
from ecompulse.kernels.fraud.memory import Block
from ecompulse.kernels.segments import changes

COLUMNS: Final = ("at", "count", "priced", "amount", "log", "square", "known", "frauds", "peak")
"""Of a bucket: its beginning (ms), rows, those of a known amount, their `amount` in 1/10,000, the sum of ln(1 + amount)
in 1/1,000 and of its squares, labels that have become known, frauds among them, and the largest amount."""

WIDTH: Final = len(COLUMNS)
_AT, _COUNT, _PRICED, _AMOUNT, _LOG, _SQUARE, _KNOWN, _FRAUDS, _PEAK = range(WIDTH)
_EACH: Final = (_COUNT, _PRICED, _AMOUNT, _KNOWN, _FRAUDS)  # of these the features of every window are made
_SUMMED: Final = (*_EACH, _LOG, _SQUARE)
_SCALE: Final = 1_000  # of logarithms
_MINOR: Final = 10_000
_SOME: Final = 2.0  # transactions that a spread without evidence counts for
_SPREAD: Final = 0.8  # of ln(1 + amount), of an entity of which nothing is known

Features = dict[str, Floats]
Sums = dict[int, Ints]  # by column


@dataclass(frozen=True)
class Past:
    """New rows and marks of entities.

    Attributes:
        codes: entity of each row, then of each mark.
        told: what each adds (COLUMNS).
        rows: how many are rows.
        frame: the rows, by entity and in order.
    """

    codes: Ints
    told: Ints
    rows: int
    frame: pl.DataFrame

    @staticmethod
    def of(rows: pl.DataFrame, marks: pl.DataFrame) -> "Past":
        """Of rows and marks with `code` and `at`, both sorted by these."""
        size = rows.height
        told = np.zeros((size + marks.height, WIDTH), np.int64)
        priced, minor = rows["minor"].is_not_null().to_numpy(), rows["minor"].fill_null(0).to_numpy()
        log = np.rint(np.log1p(np.maximum(minor, 0) / _MINOR) * _SCALE).astype(np.int64)
        told[:size, _COUNT], told[:size, _PRICED] = 1, priced
        for column, values in ((_AMOUNT, minor), (_LOG, log), (_SQUARE, log * log), (_PEAK, minor)):
            told[:size, column] = values
        told[size:, _KNOWN], told[size:, _FRAUDS] = marks["known"].to_numpy(), marks["frauds"].to_numpy()
        told[:size, _AT], told[size:, _AT] = rows["at"].to_numpy(), marks["at"].to_numpy()
        codes = np.concatenate([rows["code"].to_numpy(), marks["code"].to_numpy()]).astype(np.int64)
        return Past(codes, told, size, rows)

    @property
    def at(self) -> Ints:
        """Time of each, ms."""
        return self.told[:, _AT]

    @property
    def defrauded(self) -> Any:
        """Whether each is a mark of a fraud."""
        return self.told[:, _FRAUDS] > 0

    @property
    def latest(self) -> int:
        """Latest time, ms."""
        return int(self.at.max()) if self.codes.size else 0


def past_features(past: Past, known: Block, entity: Entity, watermark: int) -> tuple[Features, Block]:
    """Counts, means, ratios and risk of each row, by the name's end, and the buckets to keep."""
    codes, told = np.concatenate([known.codes, past.codes]), np.concatenate([known.rows, past.told])
    line = EntityTimeline.of(codes, told[:, _AT])
    told = np.take(told, line.order, axis=0)  # a row is a line of the cache: moved whole, summed by column
    here = line.place[known.codes.size :][: past.rows]
    mine, when = past.codes[: past.rows], past.at[: past.rows]
    total = {column: sums(told[:, column]) for column in _SUMMED}
    upper, found = {column: values[here] for column, values in total.items()}, Features()
    for window in entity.spans:
        low = np.minimum(line.seek(mine, window.start(when)), here)
        last = window is entity.spans[-1]
        among = {column: upper[column] - total[column][low] for column in (_SUMMED if last else _EACH)}
        found |= _of_window(window.name, among, risk=entity.risk)
    peak = largest(told[:, _PEAK], low, here)
    found |= _against(entity.windows[-1], among, past.told[: past.rows], peak)
    return found, _settled(line.codes, told, total, settled(told[:, _AT], entity.spans, watermark))


def _of_window(name: str, among: Sums, *, risk: bool) -> Features:
    count, known, frauds = among[_COUNT], among[_KNOWN], among[_FRAUDS]
    mean = _share(among[_AMOUNT] / _MINOR, among[_PRICED])
    found = {f"count_{name}": count.astype(float), f"mean_{name}": mean}
    if risk:
        found |= {f"frauds_{name}": frauds.astype(float), f"risk_{name}": _share(frauds.astype(float), known)}
    return found


def _share(part: Floats, of: Ints) -> Floats:
    """Part by count; NaN for none."""
    return np.where(of > 0, part / np.maximum(of, 1), np.nan)


def _against(name: str, among: Sums, told: Ints, peak: Ints) -> Features:
    """The row's amount beside the entity's known ones: to their mean, in spreads of the logarithm, to the largest."""
    count = np.maximum(among[_PRICED], 1)
    amount, mean = told[:, _AMOUNT], among[_LOG] / count
    spread = np.maximum(among[_SQUARE] / count - mean * mean, 0.0) / _SCALE**2
    spread = np.sqrt((spread * count + _SPREAD**2 * _SOME) / (count + _SOME))
    found = {
        f"ratio_{name}": amount / np.maximum(among[_AMOUNT] / count, 1.0),
        f"deviation_{name}": (told[:, _LOG] - mean) / _SCALE / spread,
        f"to_max_{name}": amount / np.maximum(peak, 1),
    }
    unknown = (among[_PRICED] == 0) | (told[:, _PRICED] == 0)
    return {key: np.where(unknown, np.nan, value) for key, value in found.items()}


def _settled(codes: Ints, told: Ints, total: Sums, bucket: Ints) -> Block:
    """One row for each bucket that is needed (not -1); most have one row already, which is taken as it is."""
    starts = np.flatnonzero(changes(codes, bucket))
    ends = np.append(starts[1:], codes.size)
    needed = bucket[starts] >= 0
    starts, ends = starts[needed], ends[needed]
    found = np.take(told, starts, axis=0)
    found[:, _AT] = bucket[starts]
    several = np.flatnonzero(ends - starts > 1)
    first, end = starts[several], ends[several]
    for column in total:
        found[several, column] = total[column][end] - total[column][first]
    if several.size:
        bounds = np.stack([first, end], axis=1).reshape(-1)
        found[several, _PEAK] = np.maximum.reduceat(np.append(told[:, _PEAK], 0), bounds)[::2]
    return Block(codes[starts], found)
