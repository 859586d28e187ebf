"""The watermark of an epoch, from what each source partition has shown."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """What a source partition has shown.

    Attributes:
        top: largest event time (ms), None before the first event.
        active: processing time (ms) when it last gave rows, or when it was first known.
    """

    top: int | None
    active: int


@dataclass(frozen=True)
class WatermarkPolicy:
    """How the watermark follows the partitions; all in ms.

    Attributes:
        delay: how far events of a partition may be out of order.
        idle_after: how long a partition that was read to its end must be silent to stop holding back the watermark.
        idle_advance: whether the watermark follows processing time once all partitions are idle.
    """

    delay: int
    idle_after: int
    idle_advance: bool = False

    def next(self, current: int | None, seen: Mapping[str, Seen], ended: Collection[str], now: int) -> int | None:
        """The watermark in force at `now`, never below `current`.

        Each partition has a largest event time seen. The watermark is the smallest of these, over the partitions that
        hold it back, minus the delay. A partition holds it back unless it was read to its end and has been silent for
        `idle_after`; a partition that has not begun holds it back too.
        """
        holding = [part for name, part in seen.items() if not (name in ended and now - part.active >= self.idle_after)]
        if holding:
            tops = [part.top for part in holding]
            candidate = None if None in tops else min(top for top in tops if top is not None) - self.delay
        elif self.idle_advance and seen:
            candidate = now - self.delay - self.idle_after
        else:
            candidate = None
        if candidate is None:
            return current
        return candidate if current is None else max(current, candidate)


def shares(tops: Mapping[int, int | None], budget: int) -> dict[int, int]:
    """Divide an epoch's rows among sources: most to the one furthest behind in event time.

    Sources that have not begun get equal shares, before all others. Every source gets some rows, so that none starves.
    """
    fresh = [source for source, top in tops.items() if top is None]
    if fresh:
        rest = [source for source in tops if source not in fresh]
        small = budget // (10 * len(tops)) or 1
        each = max(1, (budget - small * len(rest)) // len(fresh))
        return {**dict.fromkeys(fresh, each), **dict.fromkeys(rest, small)}
    behind = sorted(tops, key=lambda source: (tops[source] or 0, source))
    small = budget // (4 * len(tops)) or 1
    return {**dict.fromkeys(behind, small), behind[0]: max(1, budget - small * (len(tops) - 1))}
