"""What is remembered of a series: one fixed record, so that many series are one array."""

from typing import Final

import numpy as np
import numpy.typing as npt

Memory = npt.NDArray[np.void]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]

LEVEL_POINTS: Final = 300
"""Points whose median is the level."""

SLOTS: Final = 32
"""Parts of a day (UTC) that have a range of their own: 45 minutes each."""

OCTAVES: Final = 64
PARTS: Final = 8
BINS: Final = OCTAVES * PARTS
"""Bins of a distribution: eight to a doubling, over sixty-four doublings."""

PEAKS: Final = 16
DEVIATION, SHIFT, OUTSIDE, SPREAD, RISE, FALL = range(6)
KINDS: Final = 6
"""Distributions that are kept: distance of a point from the level, of the last points' mean from it, of a point from
the range of its time of day, the deviation of the last points among themselves, and how far they are above and below
the forecast, in units of its usual error."""

NOTHING: Final = -1
VERSION: Final = 3

RECORD: Final = np.dtype(
    [
        ("points", "<i8"),
        ("first", "<i8"),
        ("last", "<i8"),
        ("recent", "<f8", (LEVEL_POINTS,)),
        ("held", "<i8"),
        ("least", "<f8"),
        ("most", "<f8"),
        ("slot", "<i8"),
        ("slot_low", "<f8"),
        ("slot_high", "<f8"),
        ("day_low", "<f8", (SLOTS,)),
        ("day_high", "<f8", (SLOTS,)),
        ("mean", "<f8", (SLOTS,)),
        ("error", "<f8", (SLOTS,)),
        ("known", "<i8", (SLOTS,)),
        ("usual", "<f8"),
        ("slot_points", "<i8"),
        ("slot_sum", "<f8"),
        ("slot_miss", "<f8"),
        ("residual", "<f8"),
        ("drift", "<f8"),
        ("seen", "<u4", (KINDS, BINS)),
        ("greatest", "<f8", (KINDS,)),
        ("peak", "<f8", (PEAKS,)),
        ("peak_at", "<i8", (PEAKS,)),
        ("since", "<i8"),
        ("kind", "<i8"),
        ("severity", "<i8"),
        ("calm", "<i8"),
        ("opened_at", "<i8"),
        ("settling", "<i8"),
        ("longest_gap", "<i8"),
        ("silent", "<i8"),
    ]
)
"""`points` seen, end of the `first` and `last` (UTC ms); `recent` values in a ring, `held` of them (others infinite);
`least` and `most` ever; range of the `slot` of the day under way, and of each slot on past days; the forecast of each
slot: `mean`, mean absolute `error`, days that are in them (`known`), and the `usual` error of all; of the slot under
way its points, their sum, and the sum of their distances from the forecast (`slot_miss`); the smoothed `residual`, and
its `drift`, which is how the last hours were; how often each size of a distance was `seen`, and the `greatest`; the
last high scores (`peak`) and the numbers of their points; of an incident `since` (ms, or NOTHING), what it is, how many
calm points in a row, number of the point that opened it and its time (`settling`), or those of the last adaptation; the
longest gap between points (ms); since when the series is `silent`, or NOTHING."""


class UnreadableMemoryError(ValueError):
    """State that is no memory of a series."""


def fresh(series: int) -> Memory:
    """Memories of series that were never seen."""
    memory = np.zeros(series, RECORD)
    for name in ("first", "last", "slot", "since", "silent"):
        memory[name] = NOTHING
    for name in ("recent", "least", "slot_low", "day_low"):
        memory[name] = np.inf
    for name in ("most", "slot_high", "day_high", "peak"):
        memory[name] = -np.inf
    return memory


def dump(memory: Memory) -> list[bytes]:
    """One text of bytes per series, of RECORD.itemsize."""
    data, size = memory.tobytes(), RECORD.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]


def load(rows: list[bytes]) -> Memory:
    """Memories that `dump` wrote; nothing in them is executed.

    Raises:
        UnreadableMemoryError: for bytes of another size.
    """
    if any(len(row) != RECORD.itemsize for row in rows):
        raise UnreadableMemoryError(f"a series' memory has {RECORD.itemsize} bytes: take another checkpoint")
    return np.frombuffer(b"".join(rows), RECORD).copy()
