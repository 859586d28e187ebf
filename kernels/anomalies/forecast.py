"""The forecast: the usual value at a time of day, and its usual error."""

from typing import Final

import numpy as np

from ecompulse.kernels.anomalies.memory import SLOTS, Flags, Floats, Ints, Memory

DAY_MS: Final = 86_400_000
_FORGET: Final = 0.2  # weight of a new day in its slot's forecast
_LONG_FORGET: Final = 0.01  # and of a slot in the error of all slots
_SMOOTH: Final = 3  # points over which a residual is smoothed
_FLOOR: Final = 0.25  # of the error of all slots, in the unit of a slot's residual
_WORST: Final = 3  # times the error: what one day may teach, and what a point adds to the drift
_DRIFT: Final = 72  # points of the drift: long against an incident, short against a day
_NOTICED: Final = 1e-6  # least residual: the last bits of a sum are no record


def slot_of(times: Ints) -> Ints:
    """Part of the day (UTC) of each time."""
    return times % DAY_MS * SLOTS // DAY_MS


def foresees(memory: Memory, times: Ints) -> Flags:
    """Whether there is a forecast: the slot is known from at least one day, and the first point is a day old."""
    known: Flags = memory["known"][np.arange(len(times)), slot_of(times)] > 0
    trusted: Flags = known & (times - memory["first"] >= DAY_MS)
    return trusted


def unit_of(memory: Memory, slot: Ints) -> Floats:
    """The unit of each series' residuals: the usual error of the slot."""
    unit: Floats = memory["error"][np.arange(len(slot)), slot] + _FLOOR * memory["usual"]
    return unit


def interval(memory: Memory, times: Ints, residual: Floats) -> tuple[Floats, Floats]:
    """The forecast minus and plus this residual of each series."""
    row, slot = np.arange(len(times)), slot_of(times)
    unit = unit_of(memory, slot)
    middle = memory["mean"][row, slot] + memory["drift"] * unit
    width = residual * unit
    return middle - width, middle + width


def residuals_of(memory: Memory, values: Floats, sure: Flags) -> tuple[Floats, Floats]:
    """Smoothed distance from the forecast, above and below it, in units of its usual error; 0 where it is not `sure`.

    The drift, the mean of the residuals over the last 72 points, is part of the forecast, so that weekends and
    campaigns are not anomalous all day long. Falls are ranked among falls: counts rise further than they can fall.
    """
    row, slot = np.arange(len(values)), memory["slot"]
    unit = unit_of(memory, slot)
    miss = values - memory["mean"][row, slot]
    apart = np.where(sure & (unit > 0), miss / np.where(unit > 0, unit, 1.0), 0.0)
    drift = memory["drift"].copy()
    memory["drift"] += np.where(sure, (np.minimum(np.maximum(apart, -_WORST), _WORST) - drift) / _DRIFT, 0.0)
    memory["residual"] += (np.where(sure, apart - drift, 0.0) - memory["residual"]) / _SMOOTH
    memory["slot_points"] += 1
    memory["slot_sum"] += values
    memory["slot_miss"] += np.abs(miss - drift * unit)
    residual = np.where(np.abs(memory["residual"]) < _NOTICED, 0.0, memory["residual"])
    return np.maximum(residual, 0.0), np.maximum(-residual, 0.0)


def teach(memory: Memory, ended: Ints) -> None:
    """The forecast learns slots that have ended: it contains only past days, and one odd day moves it only a little."""
    at, points = memory["slot"][ended], memory["slot_points"][ended]
    mean, error, known = (memory[name][ended, at] for name in ("mean", "error", "known"))
    today, miss = memory["slot_sum"][ended] / points, memory["slot_miss"][ended] / points
    again = known > 0
    weight = np.maximum(_FORGET, 1 / (known + 1))
    bound = _WORST * (error + _FLOOR * memory["usual"][ended])
    spread = (memory["slot_high"][ended] - memory["slot_low"][ended]) / 4  # of a few points: about their mean error
    memory["mean"][ended, at] = np.where(again, mean + weight * np.clip(today - mean, -bound, bound), today)
    memory["error"][ended, at] = np.where(again, error + weight * (np.minimum(miss, bound) - error), spread)
    memory["known"][ended, at] = known + 1
    total = memory["known"][ended].sum(axis=1)
    usual = memory["usual"][ended]
    memory["usual"][ended] = usual + np.maximum(_LONG_FORGET, 1 / total) * (np.where(again, miss, spread) - usual)
