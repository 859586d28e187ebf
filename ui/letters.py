"""Dead letters of a lake by rule, with samples, and how to give them back to their job."""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.io.terminal import printable

SAMPLES: Final = 3
_SHOWN: Final = 200  # characters of a raw row


@dataclass(frozen=True)
class Letters:
    """Dead letters of one rule of one job.

    Attributes:
        samples: message and the first bytes of the raw row, as the privacy policy has left them.
    """

    job: str
    rule: str
    rows: int
    last: str
    samples: list[tuple[str, str]]

    @property
    def replay(self) -> str:
        """The command that gives them back to their job after a mend."""
        return f"ecompulse deadletters replay --job={self.job} --rule={self.rule} --checkpoint=CHECKPOINT"


def read_letters(lake: Lake) -> list[Letters]:
    """By job and rule, most rows first; empty where the lake has no table of them."""
    try:
        table = lake.table("dead_letters")
    except UserError:
        return []
    columns = ["job", "rule", "message", "raw", "seen_at"]
    frame = pl.DataFrame(pl.from_arrow(table.to_pyarrow_table(columns=columns)))
    grouped = frame.sort("seen_at", descending=True).group_by("job", "rule", maintain_order=True)
    found = grouped.agg(pl.len().alias("rows"), pl.col("seen_at").first(), pl.col("message", "raw").head(SAMPLES))
    letters = [_letters(row) for row in found.iter_rows(named=True)]
    return sorted(letters, key=lambda each: (-each.rows, each.job, each.rule))


def _letters(row: dict[str, Any]) -> Letters:
    raws = [printable((raw or b"")[:_SHOWN].decode("utf-8", "replace")) for raw in row["raw"]]
    samples = list(zip(row["message"], raws, strict=True))
    return Letters(row["job"], row["rule"], row["rows"], row["seen_at"].strftime("%Y-%m-%d %H:%M:%S"), samples)
