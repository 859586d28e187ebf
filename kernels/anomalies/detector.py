"""The detector: scores one point of each of many series at a time, from the past only."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ecompulse.kernels.anomalies.forecast import foresees, interval, residuals_of, slot_of, teach
from ecompulse.kernels.anomalies.memory import (
    DEVIATION,
    FALL,
    KINDS,
    LEVEL_POINTS,
    NOTHING,
    OUTSIDE,
    RISE,
    SHIFT,
    SLOTS,
    SPREAD,
    Counts,
    Flags,
    Floats,
    Ints,
    Memory,
)
from ecompulse.kernels.anomalies.surprise import bins_of, greater, reach, smaller, through

_LAST: Final = 12  # points of the short window
_NEIGHBOURS: Final = 1  # slots on either side whose range counts too
_DRIFT: Final = 0.005  # share by which a slot's range comes back to what it was today
_NEW_GROUND: Final = 0.05  # of the range so far: as in Numenta's detectors for NAB
_WEIGHTS: Final = {SHIFT: 1.0, OUTSIDE: 1.0, SPREAD: 0.25, DEVIATION: 0.1}
_BONUS: Final = 1.5
_FORECAST_WEIGHT: Final = 1.2
_REST: Final = 75  # points for which a peak must be exceeded to be news
_REST_SHARE: Final = 0.04  # and of the series' age
_MARGIN: Final = 0.4
_USUAL: Final = 0.005  # share of points outside the interval


@dataclass(frozen=True)
class Judgement:
    """The judgement of one point of each series.

    Attributes:
        score: sum of surprises, in decimal orders of magnitude; 0 is usual.
        news: whether the score is clearly above all recent peaks.
    """

    score: Floats
    news: Flags


@dataclass(frozen=True)
class Usual:
    """What series were like before a point.

    Attributes:
        level: median of the last 300 points of each; infinite before the first.
        counts: of each series and distribution, the result of `surprise.through`.
    """

    level: Floats
    counts: Counts

    @staticmethod
    def of(memory: Memory) -> "Usual":
        """So far."""
        return Usual(_level(memory), through(memory["seen"]))


def observe(memory: Memory, times: Ints, values: Floats, usual: Usual) -> Judgement:
    """Judge the next point of each series, then learn it (in place).

    The score is a sum of surprises at what the series itself has shown so far:

    - *shift*: the mean of the last 12 points is far from the level, the median of the 300 before this one. (A short
      window against a long one: Lavin and Ahmad's anomaly likelihood, arXiv:1510.03336 and 1607.02480; the median is
      robust against the points that are judged.) The distance of the point itself from the level counts a tenth as
      much.
    - *season*: the value is outside the range that past days had at this time of day: a slot of 45 minutes, and its
    neighbour on either side. A range shrinks back by only 0.5 % a day.
    - *spread*: the last 12 points vary much less than usual (a stuck or dead source); a quarter of the weight.
    - *new ground*: more than 5 % of the range so far beyond the least or greatest value ever: 1.5 more. (The
      `spatial anomaly` of Numenta's detectors for NAB.)

    Or it is, if that is more, 1.2 times the surprise at the forecast's residual: each 45 minutes of the day have an
    exponentially weighted mean and mean absolute error, residuals are in units of that error, minus their mean over the
    last 72 points, and smoothed over 3 points; rises are ranked among rises, falls among falls. Only this detects a
    fall to a value that is usual at night.

    Args:
        memory: RECORD of each series.
        times: end of each window, UTC ms, later than the one before.
        values: finite.
        usual: before this point.
    """
    level = np.where(memory["held"] > 0, usual.level, values)
    _remember(memory, values)
    mean, spread = _last(memory)
    low, high = _range(memory, times)
    sure = foresees(memory, times)
    distances = np.empty((len(values), KINDS))
    distances[:, DEVIATION], distances[:, SHIFT] = np.abs(values - level), np.abs(mean - level)
    distances[:, OUTSIDE] = np.where(low <= high, np.maximum(np.maximum(values - high, low - values), 0.0), 0.0)
    distances[:, SPREAD] = spread
    distances[:, RISE], distances[:, FALL] = residuals_of(memory, values, sure)
    bins = bins_of(distances)
    surprises = greater(usual.counts, memory["greatest"], distances, bins)
    surprises[:, SPREAD] = smaller(usual.counts[:, SPREAD], bins[:, SPREAD])
    score = _score(surprises, _new_ground(memory, values), sure)
    _count(memory, distances, bins, sure)
    _learn(memory, times, values)
    return Judgement(score, _news(memory, score))


def expected(memory: Memory, times: Ints, usual: Usual) -> tuple[Floats, Floats]:
    """The interval that one point in two hundred was outside of.

    It is around the forecast of the time of day. Its width is that of the residuals there, on the wider side, since
    single points vary more than smoothed residuals. On a series' first day, and in an unknown slot, it is around the
    level. Call it before `observe`, so that the judged point does not widen it.
    """
    width, rise, fall = (reach(usual.counts[:, kind], _USUAL) for kind in (DEVIATION, RISE, FALL))
    low, high = interval(memory, times, np.maximum(rise, fall))
    foreseen = foresees(memory, times)
    return np.where(foreseen, low, usual.level - width), np.where(foreseen, high, usual.level + width)


def adapt(memory: Memory, kept: Ints) -> None:
    """A new regime: keep only the last points (at least one) of the level, nothing of the times of day (in place)."""
    age = (memory["points"][:, None] - 1 - np.arange(LEVEL_POINTS)) % LEVEL_POINTS
    memory["recent"] = np.where(age < kept[:, None], memory["recent"], np.inf)
    memory["held"] = np.isfinite(memory["recent"]).sum(axis=1)
    memory["day_low"], memory["day_high"], memory["known"] = np.inf, -np.inf, 0


def _level(memory: Memory) -> Floats:
    ordered, held = np.sort(memory["recent"], axis=1), memory["held"]
    row = np.arange(len(held))
    level: Floats = (ordered[row, np.maximum(held - 1, 0) // 2] + ordered[row, held // 2]) / 2
    return level


def _remember(memory: Memory, values: Floats) -> None:
    row, at = np.arange(len(values)), memory["points"] % LEVEL_POINTS
    memory["held"] += np.isinf(memory["recent"][row, at])
    memory["recent"][row, at] = values
    memory["points"] += 1


def _last(memory: Memory) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the last points; summed in the order of time, so that no cut changes a bit."""
    age = np.arange(_LAST)[::-1]
    points = memory["recent"][np.arange(len(memory))[:, None], (memory["points"][:, None] - 1 - age) % LEVEL_POINTS]
    there = np.isfinite(points)
    count = there.sum(axis=1)
    mean = np.cumsum(np.where(there, points, 0.0), axis=1)[:, -1] / count
    apart = np.where(there, points - mean[:, None], 0.0)
    return mean, np.sqrt(np.cumsum(apart * apart, axis=1)[:, -1] / count)


def _of_day(memory: Memory, slot: Ints) -> tuple[Floats, Floats]:
    row = np.arange(len(slot))
    near = [(slot + step) % SLOTS for step in range(-_NEIGHBOURS, _NEIGHBOURS + 1)]
    low = np.min([memory["day_low"][row, at] for at in near], axis=0)
    return low, np.max([memory["day_high"][row, at] for at in near], axis=0)


def _range(memory: Memory, times: Ints) -> tuple[Floats, Floats]:
    """Range of past days at this time of day; a slot that has ended becomes part of it."""
    slot, before = slot_of(times), memory["slot"]
    ended = np.flatnonzero((before != slot) & (before != NOTHING))
    at = before[ended]
    for edge, own, pick in (("day_low", "slot_low", np.minimum), ("day_high", "slot_high", np.maximum)):
        was, today = memory[edge][ended, at], memory[own][ended]
        with np.errstate(invalid="ignore"):
            merged = pick(today, was + _DRIFT * (today - was))
        memory[edge][ended, at] = np.where(np.isfinite(was), merged, today)
    teach(memory, ended)
    new = before != slot
    memory["slot_low"] = np.where(new, np.inf, memory["slot_low"])
    memory["slot_high"] = np.where(new, -np.inf, memory["slot_high"])
    for name in ("slot_points", "slot_sum", "slot_miss"):
        memory[name] = np.where(new, 0, memory[name])
    memory["slot"] = slot
    return _of_day(memory, slot)


def _score(surprises: Floats, new_ground: Flags, sure: Flags) -> Floats:
    score = np.zeros(len(sure))
    for kind, weight in _WEIGHTS.items():
        score = score + weight * surprises[:, kind]
    unforeseen = np.where(sure, np.maximum(surprises[:, RISE], surprises[:, FALL]), 0.0)
    return np.maximum(score + _BONUS * new_ground, _FORECAST_WEIGHT * unforeseen)


def _new_ground(memory: Memory, values: Floats) -> Flags:
    least, most = memory["least"], memory["most"]
    known = least <= most
    span = np.maximum(most, values) - np.minimum(least, values)
    past = np.maximum(values - most, least - values)
    found: Flags = known & (past > _NEW_GROUND * np.where(known, span, 0.0)) & (past > 0)
    return found


def _count(memory: Memory, distances: Floats, bins: Ints, sure: Flags) -> None:
    row, counted = np.arange(len(sure))[:, None], np.ones(bins.shape, np.uint32)
    counted[:, [RISE, FALL]] = sure[:, None]
    memory["seen"][row, np.arange(KINDS), bins] += counted
    memory["greatest"] = np.maximum(memory["greatest"], distances)


def _learn(memory: Memory, times: Ints, values: Floats) -> None:
    memory["least"], memory["most"] = np.minimum(memory["least"], values), np.maximum(memory["most"], values)
    memory["slot_low"] = np.minimum(memory["slot_low"], values)
    memory["slot_high"] = np.maximum(memory["slot_high"], values)
    memory["first"] = np.where(memory["first"] == NOTHING, times, memory["first"])
    memory["last"] = times


def _news(memory: Memory, score: Floats) -> Flags:
    """Whether the score is clearly above every recent peak; it is then a peak itself.

    A burst is reported once, and again only when it gets clearly worse. Peaks that a later peak exceeds are removed, so
    a few places are enough; if there are more peaks, the lowest are lost.
    """
    row, point = np.arange(len(score)), memory["points"] - 1
    rest = (_REST + _REST_SHARE * point).astype(np.int64)
    peak = np.where(memory["peak_at"] >= (point - rest)[:, None], memory["peak"], -np.inf)
    news: Flags = score > peak.max(axis=1) + _MARGIN
    peak = np.where(peak <= score[:, None], -np.inf, peak)
    at = peak.argmin(axis=1)
    room = np.isinf(peak[row, at])
    peak[row, at] = np.where(room, score, peak[row, at])
    memory["peak_at"][row, at] = np.where(room, point, memory["peak_at"][row, at])
    memory["peak"] = peak
    return news
