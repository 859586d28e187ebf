"""Look-ups that never found anything in a run: most likely their key or pattern is another's. Said once, at its end."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ecompulse.io.lookups.usage import PART

if TYPE_CHECKING:
    from ecompulse.cli.report import Report


class UnfoundKeys:
    """The counts of a run's look-ups by step, from the progress of its epochs."""

    def __init__(self) -> None:
        """None yet."""
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def watching(self, report: "Report") -> "Report":
        """A report that also counts."""

        def shown(progress: Mapping[str, Any]) -> None:
            for step, use in progress.get(PART, {}).items():
                self._counts[step].update({name: count for name, count in use.items() if name != "breaker"})
            report(progress)

        return shown

    def lines(self) -> list[str]:
        """What to say; keys that could not be asked for are another matter."""
        found = []
        for step, counts in self._counts.items():
            keys = counts["misses"] - counts["failed"] - counts["stale"]
            if keys > 0 and not counts["hits"] + counts["found"]:
                which = "the only key was not" if keys == 1 else f"none of {keys:,} keys was"
                found.append(
                    f"--enrich: {step}: {which} found; does steps.{step} name the right store, key and pattern?"
                )
        return found
