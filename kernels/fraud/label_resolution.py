"""Which of a transaction's labels stands when, on whole columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.entity_timeline import Ints
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.key_hashes import KeyHashes
from ecompulse.kernels.segments import Flags, changes


@dataclass(frozen=True)
class Labels:
    """Labels of transactions, one per place.

    Attributes:
        of: number of the transaction.
        counts: time from which it counts, ms.
        label: 0 or 1.
        rank: of its source, 0 or more; below that what nobody has said.
    """

    of: Ints
    counts: Ints
    label: Ints
    rank: Ints

    def __getitem__(self, places: Any) -> "Labels":
        """Those at some places."""
        return Labels(self.of[places], self.counts[places], self.label[places], self.rank[places])

    def then(self, other: "Labels") -> "Labels":
        """These and others behind them."""
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return Labels(*(np.concatenate(pair) for pair in both))


@dataclass(frozen=True)
class ResolvedLabels:
    """What labels change.

    Attributes:
        labels: those that stood at their time, by transaction and in the order of time.
        known: 1 where the transaction had no label before, else 0.
        frauds: what each adds to the number of frauds.
        last: whether each is the last of its transaction.
    """

    labels: Labels
    known: Ints
    frauds: Ints
    last: Flags


def met(known: pl.DataFrame, rows: pl.DataFrame, told: pl.DataFrame) -> tuple[Ints, Ints]:
    """Places of rows whose transaction was not known, and the number of each label's transaction.

    That is its place among those known and these rows behind them; -1 where there is none.
    """
    codes, firsts = KeyHashes.of(
        fingerprint(pl.concat([part["transaction_id"] for part in (known, rows, told)]))
    ).numbered()
    begin, end = known.height, known.height + rows.height
    first = np.sort(firsts[(firsts >= begin) & (firsts < end)])
    place = np.full(firsts.size, -1, np.int64)
    place[codes[:begin]] = np.arange(begin)
    place[codes[first]] = begin + np.arange(first.size)
    return first - begin, place[codes[end:]]


def own(known: pl.DataFrame) -> tuple[Ints, Flags, Ints]:
    """Label, whether there is none, and rank of transactions."""
    label = known["label"]
    return label.fill_null(0).to_numpy(), label.is_null().to_numpy(), known["rank"].to_numpy()


def fitting(known: pl.DataFrame, told: Labels) -> tuple[Labels, Ints]:
    """Labels whose transaction heeds them, and the times of the others."""
    there = told.of >= 0
    heard, lost = told[there], told[~there]
    fits = (heard.counts >= known["at"].to_numpy()[heard.of]) & (heard.counts < known["ends"].to_numpy()[heard.of])
    return heard[fits], np.concatenate([lost.counts, heard[~fits].counts])


def stand(told: Labels, label: Ints, blank: Flags, rank: Ints) -> ResolvedLabels:
    """Of labels those that stand: a later one overrides, unless its source ranks lower; of one time, the strongest.

    `label`, `blank` (it has none) and `rank` are the transactions' own, by number.
    """
    line = told[np.lexsort((told.label, told.rank, told.counts, told.of))]
    line = line[line.rank >= np.maximum(rank[line.of], _highest_before(line))]
    line = line[np.roll(changes(line.of, line.counts), -1)]  # of equal times, ordered by rank and label, the last
    first = changes(line.of)
    before = np.where(first, label[line.of], np.roll(line.label, 1))
    none = first & blank[line.of]
    return ResolvedLabels(line, none.astype(np.int64), line.label - np.where(none, 0, before), np.roll(first, -1))


def _highest_before(line: Labels) -> Ints:
    """The highest rank of the labels before each of the same transaction; the lowest there is where there is none."""
    if not line.of.size:
        return line.rank
    first, least = changes(line.of), line.rank.min()
    base = np.cumsum(first) * (line.rank.max() - least + 1)  # lifts each transaction's ranks over those before it
    highest = np.maximum.accumulate(line.rank - least + base) - base + least
    before: Ints = np.where(first, least, np.roll(highest, 1))
    return before
