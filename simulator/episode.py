"""An episode: what befalls a shop, planted in its events, with labels that say so.

An episode gets the rows of each slice before anything goes wrong with them on the way, and gives them back
changed, with labels. It is a frozen dataclass of plain settings, and part of the shop's settings.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

from ecompulse.simulator.draw import Draw

LABEL_SCHEMA: Final = pl.Schema(
    {
        "episode": pl.String(),
        "kind": pl.String(),
        "since": pl.Int64(),
        "until": pl.Int64(),
        "transaction_id": pl.String(),
        "label": pl.Int64(),
        "label_time": pl.Int64(),
        "source": pl.String(),
    }
)
"""Labels: `kind` is `kpi` (one row per incident, since/until UTC ms) or `fraud` (one row per payment, label
1, known from `label_time` on, as a `chargeback` or `review`)."""

NO_LABELS: Final = pl.DataFrame(schema=LABEL_SCHEMA)


@dataclass(frozen=True)
class Slice:
    """What an episode is given beside the rows.

    Attributes:
        start: from which episodes count their time, UTC ms: the shop's start, or the end of its warm-up.
        since: the slice holds visits that begin from here on, UTC ms.
        until: and before here; their later rows are in the slice too.
        draw: randomness of this episode in this slice.
    """

    start: int
    since: int
    until: int
    draw: Draw

    def holds(self, moment: int) -> bool:
        """Whether something that happens once, at `moment` (UTC ms), belongs to this slice."""
        return self.since <= moment < self.until


class Episode(Protocol):
    """Something that befalls the shop."""

    def apply(self, rows: pl.DataFrame, part: Slice) -> tuple[pl.DataFrame, pl.DataFrame]:
        """`rows` (`ROW_SCHEMA`) as the episode leaves them; labels (`LABEL_SCHEMA`) beginning in this slice.

        Every row added needs an `event_id` of its own.
        """
        ...
