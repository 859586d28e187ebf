"""What look-ups did, summed over processes; the worst breaker is shown."""

from ecompulse.epochs.telemetry import Telemetry, add_telemetry, telemetry
from ecompulse.io.lookups.usage import PART, describe_usage


def fact(process: str, at: int, state: str, **counts: int) -> dict:
    counters = {f"user/{name}": count for name, count in counts.items()}
    return telemetry(PART, counters, {f"user/{process}": (at, state)})


def test_counts_are_summed_and_the_latest_state_of_each_process_counts():
    known: Telemetry = {}
    for told in (
        fact("a", 2, "half_open", asked=3, failed=1),
        fact("a", 1, "open", asked=2, failed=0),  # facts come in any order
        fact("b", 1, "closed", asked=5, failed=0),
    ):
        add_telemetry(known, told)
    assert describe_usage(known[PART]) == {"user": {"breaker": "half_open", "asked": 10, "failed": 1}}
    add_telemetry(known, fact("b", 2, "open", asked=1))
    assert describe_usage(known[PART])["user"]["breaker"] == "open"


def test_without_look_ups_there_is_nothing_to_tell():
    assert describe_usage({"counters": {}, "gauges": {}}) == {}
