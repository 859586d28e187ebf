"""What look-ups did, as the progress of an epoch shows it.

Counters are named `<step>/<count>`; the gauge `<step>/<process>` is the state of a process's circuit breaker.
"""

from collections.abc import Mapping
from typing import Any, Final

PART: Final = "lookups"
STATES: Final = ("closed", "half_open", "open")
"""Of a circuit breaker, from good to bad."""


def describe_usage(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """By step: the counts of the epoch, and the worst state among the breakers of all processes."""
    found: dict[str, Any] = {}
    for name, (_, state) in told["gauges"].items():
        mine = found.setdefault(name.partition("/")[0], {"breaker": state})
        mine["breaker"] = max(mine["breaker"], state, key=STATES.index)
    for name, count in told["counters"].items():
        step, _, what = name.partition("/")
        found[step][what] = count
    return dict(sorted(found.items()))
