"""What the look-ups of a run's workers did, from each process to the progress of the epoch.

A fact is `{"process", "at", "lookups": {name: {"counts": {...}, "state": breaker}}}`, of one process at one moment; its
counts are those since its last fact. A run that fails leaves none: what it counted comes with the next one.
"""

from collections.abc import Mapping
from typing import Any, Final

STATES: Final = ("closed", "half_open", "open")
"""Of a circuit breaker, from good to bad."""


def add_usage(known: dict[str, Any], fact: Mapping[str, Any]) -> None:
    """Sum the counts by look-up; of each process's breakers keep the latest state."""
    for name, told in fact["lookups"].items():
        mine = known.setdefault(name, {"counts": {}, "breakers": {}})
        for count, more in told["counts"].items():
            mine["counts"][count] = mine["counts"].get(count, 0) + more
        at, _ = mine["breakers"].get(fact["process"], (0, ""))
        if fact["at"] >= at:
            mine["breakers"][fact["process"]] = [fact["at"], told["state"]]


def describe_usage(known: Mapping[str, Any]) -> dict[str, Any]:
    """By look-up: the counts of the epoch, and the worst state among the breakers of all processes."""
    return {
        name: {"breaker": max((state for _, state in told["breakers"].values()), key=STATES.index), **told["counts"]}
        for name, told in sorted(known.items())
    }
