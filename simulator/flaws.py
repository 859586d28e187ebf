"""What goes wrong on the way: rows arrive late, in disorder, twice, with unknown fields, or broken."""

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.simulator.draw import Draw, Ints, cumulative
from ecompulse.simulator.settings import HOUR_MS, Settings

GOOD: Final = 0
COPY: Final = 1
FIRST_BREAK: Final = 2
"""Values of the column `flaw`: a good row, an exact copy of one, and from here on a position in `BREAKS`."""

_USUAL_DELAY_MS: Final = 1_500
_EXTRA_FIELDS: Final = pl.Series(
    [
        '"app_version":"5.2.1"',
        '"experiment":{"name":"checkout","arm":"B"}',
        '"scroll_depth":80',
        '"consent":["ads"]',
    ]
)
_LONG_FIELD: Final = 66_000
_LONG_ROW: Final = 1_100_000

Event = dict[str, Any]


def _changed(**fields: Any) -> Callable[[bytes], bytes]:
    """Breaks a line by setting fields; None removes one."""

    def broken(line: bytes) -> bytes:
        event: Event = {**json.loads(line), **fields}
        kept = {name: value for name, value in event.items() if value is not None}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()

    return broken


BREAKS: Final[tuple[tuple[str, int, Callable[[bytes], bytes]], ...]] = (
    ("broken_json", 16, lambda line: line[: len(line) * 2 // 3]),
    ("broken_json", 4, lambda line: line.replace(b":", b"=", 1)),
    ("not_an_object", 8, lambda line: b"[" + line + b"]"),
    ("not_an_object", 2, lambda _: b"null"),
    ("invalid_utf8", 10, lambda line: line.replace(b'"event_type":"', b'"event_type":"\xff\xc3(', 1)),
    ("missing_required", 5, _changed(event_id=None)),
    ("missing_required", 5, _changed(event_type=None)),
    ("missing_required", 5, _changed(event_time=None)),
    ("missing_required", 5, _changed(user_id=None, anonymous_id=None)),
    ("wrong_type", 8, _changed(price="cheap")),
    ("wrong_type", 6, _changed(event_time="yesterday")),
    ("wrong_type", 4, _changed(quantity=[1])),
    ("not_finite", 6, _changed(price=float("nan"))),
    ("not_finite", 3, _changed(amount=float("-inf"))),
    ("out_of_range", 6, _changed(price=10**22)),
    ("out_of_range", 4, _changed(quantity=2**70)),
    ("duplicate_key", 8, lambda line: line[:-1] + b',"event_type":"refund"}'),
    ("event_time_in_future", 8, _changed(event_time="2099-12-31T23:59:59.000Z")),
    ("event_time_too_old", 4, _changed(event_time=1_000_000_000)),
    ("field_too_large", 3, _changed(query="q" * _LONG_FIELD)),
    ("row_too_large", 1, _changed(**{f"blob_{at}": "x" * 50_000 for at in range(_LONG_ROW // 50_000)})),
)
"""Ways to break a line: the case of `cli.md` that it is, weight, how."""

_BREAK_WEIGHTS: Final = cumulative([weight for _, weight, _ in BREAKS])


def delays(settings: Settings, draw: Draw, size: int) -> Ints:
    """Ms from event to arrival: a moment; for some up to 45 % of the watermark delay; for few beyond it."""
    limit = settings.watermark_delay_ms
    delay = draw.below(size, min(_USUAL_DELAY_MS, limit // 4) + 1)
    delay = np.where(draw.chance(size, settings.out_of_order), draw.below(size, limit * 45 // 100 + 1), delay)
    late = limit + limit // 2 + 60_000 + draw.below(size, HOUR_MS)
    mixed: Ints = np.where(draw.chance(size, settings.late), late, delay)
    return mixed


def flawed(settings: Settings, draw: Draw, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `arrival` (UTC ms) and `flaw`; copies and rows to be broken are added, no good row is lost.

    A copy arrives within 90 % of the watermark delay after its event's time; late rows are not copied.
    """
    size, limit = rows.height, settings.watermark_delay_ms
    extra = pl.Series(draw.chance(size, settings.unknown_fields))
    delay = delays(settings, draw, size)
    rows = rows.with_columns(
        extra=pl.select(pl.when(extra).then(_EXTRA_FIELDS.gather(draw.below(size, len(_EXTRA_FIELDS))))).to_series(),
        arrival=rows["event_time"] + pl.Series(delay),
        flaw=pl.lit(GOOD, pl.Int64),
    )
    copied = np.flatnonzero(draw.chance(size, settings.duplicates) & (delay <= limit * 45 // 100))
    again = 1 + draw.below(len(copied), limit * 45 // 100 + 1)
    copies = rows[copied].with_columns(arrival=pl.col("arrival") + pl.Series(again), flaw=pl.lit(COPY, pl.Int64))
    spoilt = np.flatnonzero(draw.chance(size, settings.broken))
    kinds = FIRST_BREAK + draw.pick(len(spoilt), _BREAK_WEIGHTS)
    broken = rows[spoilt].with_columns(event_id=draw.tokens(len(spoilt)), flaw=pl.Series(kinds))
    unmarked = {name: pl.lit(False) for name in ("opens_visit", "opens_order")}
    return pl.concat([rows, copies.with_columns(**unmarked), broken.with_columns(**unmarked)])


def broken_lines(lines: pl.Series, flaw: pl.Series) -> pl.Series:
    """Lines as bytes, each ended; those whose flaw says so broken. Loops over the broken rows only."""
    binary = lines.cast(pl.Binary)
    at = (flaw >= FIRST_BREAK).arg_true()
    if len(at):
        kinds = flaw.gather(at).to_list()
        spoilt = [BREAKS[kind - FIRST_BREAK][2](line) for kind, line in zip(kinds, binary.gather(at), strict=True)]
        binary = binary.scatter(at, pl.Series(spoilt, dtype=pl.Binary))
    return pl.select(binary + pl.lit(b"\n")).to_series()
