"""Telemetry of the parts of a job, by name: from workers to the progress of the epoch.

A fact is `{"part": name, "counters": {...}, "gauges": {...}}`. Counters of an epoch are summed. A gauge is `[at,
value]`; the latest one counts. A failed run leaves no fact.
"""

from collections.abc import Callable, Mapping
from typing import Any

Telemetry = dict[str, dict[str, dict[str, Any]]]
"""By part: `counters` and `gauges`, by name."""

Describe = Callable[[Mapping[str, Mapping[str, Any]]], Any]
"""Counters and gauges of a part as the progress shows them."""


def telemetry(part: str, counters: Mapping[str, int], gauges: Mapping[str, tuple[float, Any]]) -> dict[str, Any]:
    """A fact of a part."""
    return {"part": part, "counters": dict(counters), "gauges": {name: list(told) for name, told in gauges.items()}}


def add_telemetry(known: Telemetry, fact: Mapping[str, Any]) -> None:
    """Take in a fact."""
    mine = known.setdefault(fact["part"], {"counters": {}, "gauges": {}})
    for name, more in fact["counters"].items():
        mine["counters"][name] = mine["counters"].get(name, 0) + more
    for name, told in fact["gauges"].items():
        mine["gauges"][name] = max(told, mine["gauges"].get(name, told))


def gauges(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describes a part by its gauges alone."""
    return {name: value for name, (_, value) in told["gauges"].items()}
