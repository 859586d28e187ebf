"""Dead letters of a lake by rule, with samples, and how to give them back to their job."""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import Dataset

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
    rows = table.to_pyarrow_dataset()
    counted = pl.scan_pyarrow_dataset(rows).group_by("job", "rule").agg(pl.len().alias("rows"), pl.col("seen_at").max())
    found = counted.sort("rows", "job", "rule", descending=[True, False, False]).collect()
    return [_letters(row, _newest(rows, row)) for row in found.iter_rows(named=True)]


def _newest(rows: Dataset, group: dict[str, Any]) -> pl.DataFrame:
    """A few rows of the group, of those that came last: nothing else is read in whole."""
    last = pa.scalar(group["seen_at"], rows.schema.field("seen_at").type)
    mine = (pc.field("job") == group["job"]) & (pc.field("rule") == group["rule"]) & (pc.field("seen_at") == last)
    return pl.DataFrame(pl.from_arrow(rows.head(SAMPLES, columns=["message", "raw"], filter=mine)))


def _letters(row: dict[str, Any], newest: pl.DataFrame) -> Letters:
    raws = [printable((raw or b"")[:_SHOWN].decode("utf-8", "replace")) for raw in newest["raw"]]
    samples = list(zip(newest["message"], raws, strict=True))
    return Letters(row["job"], row["rule"], row["rows"], row["seen_at"].strftime("%Y-%m-%d %H:%M:%S"), samples)
