"""Where CSV records end: line ends inside quotes do not count, and a stray quote costs one record at the most.

A quote opens a cell only where a cell begins, and only if one that closes it follows: before the next delimiter or line
end, at most a row's limit away. Any other quote is text. So one that never closes does not swallow its neighbours.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from ecompulse.kernels.event import MAX_ROW_BYTES

QUOTE: Final = ord('"')
DELIMITER: Final = ord(",")
_NEWLINE: Final = ord("\n")
_RETURN: Final = ord("\r")

Positions = npt.NDArray[np.int64]


def outside_quotes(
    data: npt.NDArray[np.uint8],
    ends: Positions,
    newline: int,
    *,
    ended: bool,
    delimiter: int = DELIMITER,
    quote: int = QUOTE,
) -> Positions:
    """Those of the line ends that end a record, in data that begins with one.

    Without `ended` more may follow: what the last quote means may not be known yet, and line ends after it stay out.
    """
    quotes: Positions = np.flatnonzero(data == quote)
    if not len(quotes):
        return ends
    starts, stops = _odd_runs(quotes)
    if not ended and len(stops) and stops[-1] == len(data):  # more of the run may follow
        starts, stops = starts[:-1], stops[:-1]
    if not len(starts):
        return ends
    opens = _opens(data, starts, newline, delimiter)
    pairs = _pairs(opens & _closed_by_next(data, starts, stops, delimiter))
    opened = np.searchsorted(starts[pairs], ends)
    closed = np.append(-1, starts[pairs + 1])[opened]  # where the last cell that was opened before is closed
    found: Positions = ends[closed < ends]
    last_is_free = not len(pairs) or pairs[-1] + 1 < len(starts) - 1
    if not ended and last_is_free and opens[-1] and len(data) - starts[-1] <= MAX_ROW_BYTES:
        found = found[found < starts[-1]]
    return found


def _odd_runs(quotes: Positions) -> tuple[Positions, Positions]:
    """Start and stop of each run of an odd number of quotes: an even one opens nothing and closes nothing."""
    first = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)
    lengths = np.diff(first, append=len(quotes))
    odd = lengths % 2 == 1
    starts: Positions = quotes[first[odd]]
    stops: Positions = starts + lengths[odd]
    return starts, stops


def _opens(data: npt.NDArray[np.uint8], starts: Positions, newline: int, delimiter: int) -> npt.NDArray[np.bool_]:
    before = data[starts - 1]
    found: npt.NDArray[np.bool_] = (before == delimiter) | (before == newline) | (starts == 0)
    return found


def _closed_by_next(
    data: npt.NDArray[np.uint8], starts: Positions, stops: Positions, delimiter: int
) -> npt.NDArray[np.bool_]:
    """Whether the run after each ends a cell that the run would open."""
    after = data[np.minimum(stops, len(data) - 1)]
    closes = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN) | (stops == len(data))
    near = np.diff(starts) <= MAX_ROW_BYTES
    return np.append(closes[1:] & near, False)  # a value


def _pairs(may_open: npt.NDArray[np.bool_]) -> Positions:
    """Runs that open a cell, which the next one closes: of those in a row that may, every second."""
    if not (may_open[1:] & may_open[:-1]).any():
        plain: Positions = np.flatnonzero(may_open)
        return plain
    index = np.arange(len(may_open))
    before = np.append(True, ~may_open[:-1])  # a value
    first = np.maximum.accumulate(np.where(before, index, 0))
    found: Positions = index[may_open & ((index - first) % 2 == 0)]
    return found
