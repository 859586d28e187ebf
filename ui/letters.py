"""Dead letters of a lake by rule, with samples, and how to give them back to their job."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import Dataset

from ecompulse.epochs.checkpoint import read_meta, used_sinks
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.delta.lake import Lake
from ecompulse.io.terminal import printable

SAMPLES: Final = 3
_GROUP: Final = ("job", "instance", "rule")
_SHOWN: Final = 200  # characters of a raw row


@dataclass(frozen=True)
class Letters:
    """Dead letters of one rule of one job.

    Attributes:
        samples: message and the first bytes of the raw row, as the privacy policy has left them.
        replay: the command that gives them back to their job after a mend.
    """

    job: str
    instance: str | None
    rule: str
    rows: int
    last: str
    samples: list[tuple[str, str]]
    replay: str

    @property
    def title(self) -> str:
        """Name of the job, and instance if there are several."""
        return self.job if self.instance is None else f"{self.job} ({self.instance})"


def read_letters(lake: Lake, checkpoints: Iterable[Store]) -> list[Letters]:
    """By job, instance and rule, most rows first; empty where the lake has no table of them."""
    try:
        table = lake.table("dead_letters")
    except UserError:
        return []
    rows = table.to_pyarrow_dataset()
    counted = pl.scan_pyarrow_dataset(rows).group_by(*_GROUP).agg(pl.len().alias("rows"), pl.col("seen_at").max())
    found = counted.sort("rows", *_GROUP, descending=[True, False, False, False]).collect()
    places = _places(lake, checkpoints) if found.height else {}
    return [_letters(row, _newest(rows, row), _replay(row, lake, places)) for row in found.iter_rows(named=True)]


def _places(lake: Lake, checkpoints: Iterable[Store]) -> Mapping[tuple[str, str | None], str]:
    """The checkpoint of each job and instance: one that writes to this lake rather than another."""
    found: dict[tuple[str, str | None], str] = {}
    for store in checkpoints:
        try:
            settings, writes = read_meta(store)["settings"], f"lake:{lake.root}" in used_sinks(store)
        except (JobError, UserError, OSError, ValueError):  # the page of jobs says what is wrong with it
            continue
        key = settings["job"], settings.get("instance")
        if writes or key not in found:
            found[key] = store.root
    return found


def _replay(group: Mapping[str, Any], lake: Lake, places: Mapping[tuple[str, str | None], str]) -> str:
    """The command that gives a group back to its job after a mend."""
    place = places.get((group["job"], group["instance"]), "CHECKPOINT")
    words = [f"--job={group['job']}", f"--rule={group['rule']}", f"--checkpoint={place}", f"--lake={lake.root}"]
    words += [f"--s3_endpoint={lake.endpoint}"] if lake.endpoint else []
    return shlex.join(["ecompulse", "deadletters", "replay", *words])


def _newest(rows: Dataset, group: dict[str, Any]) -> pl.DataFrame:
    """A few rows of the group, of those that came last: nothing else is read in whole."""
    last = pa.scalar(group["seen_at"], rows.schema.field("seen_at").type)
    instance = pc.field("instance")
    same = instance.is_null() if group["instance"] is None else instance == group["instance"]
    mine = (
        (pc.field("job") == group["job"]) & same & (pc.field("rule") == group["rule"]) & (pc.field("seen_at") == last)
    )
    return pl.DataFrame(pl.from_arrow(rows.head(SAMPLES, columns=["message", "raw"], filter=mine)))


def _letters(row: dict[str, Any], newest: pl.DataFrame, replay: str) -> Letters:
    raws = [printable((raw or b"")[:_SHOWN].decode("utf-8", "replace")) for raw in newest["raw"]]
    samples = list(zip(newest["message"], raws, strict=True))
    last = row["seen_at"].strftime("%Y-%m-%d %H:%M:%S")
    return Letters(row["job"], row["instance"], row["rule"], row["rows"], last, samples, replay)
