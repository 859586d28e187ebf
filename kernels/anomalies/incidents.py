"""Incidents of a series: when they fire, when they recover, and when an incident turns out to be a new regime."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ecompulse.kernels.anomalies.detector import Usual, adapt, expected, observe
from ecompulse.kernels.anomalies.memory import NOTHING, Flags, Floats, Ints, Memory

POINT, CHANGE, SILENCE = range(3)
KINDS: Final = ("point", "change", "silence")
FIRING: Final = 0
RECOVERED: Final = 1
STATES: Final = ("firing", "recovered")
WARNING: Final = 0
CRITICAL: Final = 1
SEVERITIES: Final = ("warning", "critical")

_CRITICAL_ABOVE: Final = 2.0  # of the threshold, in orders of magnitude
_CALM: Final = 5  # points in a row
_LEARNT_POINTS: Final = 300
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Policy:
    """When an anomaly is an incident.

    Attributes:
        threshold: least score of an incident; see docs/kpi_anomalies.md.
        settle: ms after which an incident that lasts counts as a new regime.
        silence: ms without a window after which a series is silent; at least twice its longest gap.
    """

    threshold: float
    settle: int
    silence: int


@dataclass(frozen=True)
class Turns:
    """What happened to some series: equal lengths.

    Attributes:
        series: position of the series.
        kind: of KINDS. state: of STATES. severity: of SEVERITIES.
        since: what names the incident: end of its first window, of a silence that of the last one before it (UTC ms).
        end: of the window that fired or recovered it; of a silence that fires, when it was long enough (UTC ms).
        row: of the point among the points judged at once, or NOTHING.
        low: expected at least, high: at most, score: of the point; NaN for silence.
    """

    series: Ints
    kind: Ints
    state: Ints
    severity: Ints
    since: Ints
    end: Ints
    row: Ints
    low: Floats
    high: Floats
    score: Floats


def advance(memory: Memory, times: Ints, values: Floats, policy: Policy) -> list[Turns]:
    """Judge the next point of each series and learn it (in place); returns what turned.

    An incident opens with a score at or above the threshold that is clearly above recent peaks (`news`). It recovers
    with the fifth point in a row that is within the interval and below the threshold. If it has not by `settle`, the
    series has changed: the incident recovers, a `change` fires, and the detector adapts to the points since. The change
    recovers like an incident; until it does, the detector adapts again, without another alert.
    """
    back = _end_silence(memory, times, policy)
    usual = Usual.of(memory)
    low, high = expected(memory, times, usual)
    learnt = (memory["points"] >= _LEARNT_POINTS) & (times - memory["first"] >= _DAY_MS)
    judged = observe(memory, times, values, usual)
    loud = judged.score >= policy.threshold
    firing = memory["since"] != NOTHING
    opens = ~firing & learnt & judged.news & loud
    calm = (values >= low) & (values <= high) & ~loud
    memory["calm"] = np.where(calm, memory["calm"] + 1, 0)
    recovers = firing & (memory["calm"] >= _CALM)
    lasting = firing & ~recovers & (times - memory["settling"] >= policy.settle)
    changes = lasting & (memory["kind"] == POINT)
    severe = np.where(judged.score >= policy.threshold + _CRITICAL_ABOVE, CRITICAL, WARNING)
    numbers = (low, high, judged.score)
    ended = _turns(memory, recovers | changes, RECOVERED, times, numbers)
    memory["since"] = np.where(opens | changes, times, np.where(recovers, NOTHING, memory["since"]))
    memory["kind"] = np.where(changes, CHANGE, np.where(opens, POINT, memory["kind"]))
    memory["severity"] = np.where(opens | changes, severe, memory["severity"])
    memory["calm"] = np.where(opens, 0, memory["calm"])
    begun = _turns(memory, opens | changes, FIRING, times, numbers)
    _settle(memory, opens, lasting, times)
    return [*back, ended, begun]


def fall_silent(memory: Memory, until: Ints, policy: Policy) -> Turns:
    """The silence of series without a window up to `until` (UTC ms), fired (in place)."""
    limit = _patience(memory, policy)
    quiet = (memory["silent"] == NOTHING) & (memory["points"] >= _LEARNT_POINTS) & (until - memory["last"] > limit)
    memory["silent"] = np.where(quiet, memory["last"], memory["silent"])
    return _silence(memory, quiet, FIRING, memory["last"] + limit)


def silent_at(memory: Memory, policy: Policy) -> Ints:
    """When each series will be silent if nothing comes (UTC ms); very late if it is silent already, or too young."""
    waits = (memory["silent"] == NOTHING) & (memory["points"] >= _LEARNT_POINTS)
    return np.where(waits, memory["last"] + _patience(memory, policy) + 1, 2**62)


def _end_silence(memory: Memory, times: Ints, policy: Policy) -> list[Turns]:
    """End the silence before this point: fire it if need be, recover it; later gaps may be as long as this one."""
    fired = fall_silent(memory, times, policy)
    known = memory["last"] != NOTHING
    gap = np.where(known, times - memory["last"], 0)
    ended = _silence(memory, memory["silent"] != NOTHING, RECOVERED, times)
    memory["longest_gap"] = np.maximum(memory["longest_gap"], gap)
    memory["silent"] = NOTHING
    return [fired, ended]


def _patience(memory: Memory, policy: Policy) -> Ints:
    patience: Ints = np.maximum(policy.silence, 2 * memory["longest_gap"])
    return patience


def _settle(memory: Memory, opens: Flags, lasting: Flags, times: Ints) -> None:
    """Learn regimes that last, beginning with the point that opened them."""
    point = memory["points"] - 1
    if lasting.any():
        chosen = memory[lasting]
        adapt(chosen, chosen["points"] - chosen["opened_at"])
        memory[lasting] = chosen
    memory["settling"] = np.where(opens | lasting, times, memory["settling"])
    memory["opened_at"] = np.where(opens | lasting, point, memory["opened_at"])


def _turns(memory: Memory, which: Flags, state: int, times: Ints, numbers: tuple[Floats, Floats, Floats]) -> Turns:
    at = np.flatnonzero(which)
    low, high, score = (number[at] for number in numbers)
    kind, severity, since = (memory[name][at].copy() for name in ("kind", "severity", "since"))
    return Turns(at, kind, np.full(len(at), state), severity, since, times[at], at, low, high, score)


def _silence(memory: Memory, which: Flags, state: int, end: Ints) -> Turns:
    at = np.flatnonzero(which)
    same, none = np.full(len(at), NOTHING), np.full(len(at), np.nan)
    kinds, states = np.full(len(at), SILENCE), np.full(len(at), state)
    severity = np.full(len(at), WARNING)
    return Turns(at, kinds, states, severity, memory["silent"][at].copy(), end[at], same, none, none, none)
