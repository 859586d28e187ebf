"""Stamps: how it is noticed that two tasks have read different outputs of one and the same task.

Spark computes lost outputs again, for those that have not read them yet. What Beam computes is not the same twice (the
keys of a Reshuffle are random, ids are uuids, look-ups and clocks move), and those who read the old output do not fit
those who read the new: rows are lost and doubled, and nobody says so.

Each task attempt therefore draws a stamp. It hands one record to every partition of the stages after it, also where it
has no rows for them, with its stamp and, per stage that it comes from, the sum of the stamps of all its tasks. As every
task reads a record of every task before it, two of them have the same sums exactly when they come from the same
attempts.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

_SPACE: Final = 2**64


class Recomputed(RuntimeError):  # noqa: N818  # a fact about a run, which is to be run again
    """Spark computed outputs again that some had read already: the run is void, and is to be run again."""


class Stamped(NamedTuple):
    """Who made a record.

    Attributes:
        stage: number of the stage.
        part: of the stage's tasks, which.
        stamp: of the attempt, below 2**64.
        sums: per stage that it comes from, the sum (modulo 2**64) of the stamps of its tasks.
    """

    stage: int
    part: int
    stamp: int
    sums: Mapping[int, int]


Verify = Callable[[Iterable[Stamped], Mapping[int, int]], dict[int, int]]
"""What looks whether records fit each other: `sums_of`."""


def new_stamp() -> int:
    """A random number that no other attempt draws."""
    return secrets.randbelow(_SPACE)


def sums_of(records: Iterable[Stamped], tasks: Mapping[int, int]) -> dict[int, int]:
    """What all these come from: the sum of stamps per stage.

    Args:
        records: one of every task of each stage in `tasks`.
        tasks: number of tasks per stage.

    Raises:
        Recomputed: they come from different attempts, or one of them is missing or there twice.
    """
    sums: dict[int, int] = {}
    stamps: dict[int, dict[int, int]] = {stage: {} for stage in tasks}
    for record in records:
        if record.part in stamps[record.stage]:
            raise Recomputed(f"stage {record.stage}: output of task {record.part} arrived twice")
        stamps[record.stage][record.part] = record.stamp
        _same(sums, record.sums)
    for stage, found in stamps.items():
        if len(found) != tasks[stage]:
            raise Recomputed(f"stage {stage}: output of {len(found)} of {tasks[stage]} tasks arrived")
        _same(sums, {stage: sum(found.values()) % _SPACE})
    return sums


def _same(sums: dict[int, int], more: Mapping[int, int]) -> None:
    for stage, found in more.items():
        if sums.setdefault(stage, found) != found:
            raise Recomputed(f"outputs of stage {stage} were computed again after some had read them")
