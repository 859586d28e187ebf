"""Dead letters of a lake, ready to be given back to the job that refused them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from deltalake import DeltaTable

from ecompulse.epochs.checkpoint import read_meta, used_sinks
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import EVENTS, Store
from ecompulse.epochs.replay import LETTERS
from ecompulse.epochs.sinks import Owner
from ecompulse.io.delta.lake import Lake
from ecompulse.io.delta.ownership import other_owner
from ecompulse.io.files.kinds import suffix_of
from ecompulse.io.files.layout import head_of
from ecompulse.io.files.source import HEADER
from ecompulse.kernels.decode import Rule

TABLE: Final = "dead_letters"
_LAKE: Final = "lake:"
"""How the name of a sink begins that is a lake."""

_KAFKA: Final = "kafka://"


@dataclass(frozen=True)
class Chosen:
    """Dead letters sorted by what can be done with them.

    Attributes:
        letters: that can be replayed (LETTERS).
        protected: number of those in which the privacy policy hid something.
        updates: number of those that are rows of an update stream.
        headless: number of rows of CSV whose file is gone, and its header with it.
        cut: number of those of which only the first bytes were kept.
        files: number of those that stand for a file.
        payloads: number of messages that are none of their schema.
    """

    letters: pl.DataFrame
    protected: int = 0
    updates: int = 0
    headless: int = 0
    cut: int = 0
    files: int = 0
    payloads: int = 0


def own_letters(store: Store, place: str | None, endpoint: str | None) -> DeltaTable:
    """The table with a checkpoint's dead letters: in the lake at `place`, or else in the one that it writes to.

    `place` is absolute. UserError, naming `--lake`, where that is not one lake, or holds another checkpoint's rows of
    the same job.
    """
    meta = read_meta(store)
    if place is None:
        lakes = [name.removeprefix(_LAKE) for name in used_sinks(store) if name.startswith(_LAKE)]
        if len(lakes) != 1:
            what = f"has written to {len(lakes)} lakes" if lakes else "has written to no lake"
            raise UserError(f"--lake: {store.root} {what}; give the one with its dead letters")
        [place] = lakes
    lake = Lake(place.rstrip("/"), endpoint)
    table, settings = lake.table(TABLE), meta["settings"]
    owner = Owner(settings["job"], meta["id"], settings.get("instance"), tuple(meta.get("succeeds", ())))
    other = other_owner(table, owner)
    if other and f"{_LAKE}{lake.root}" not in meta.get("other_than", ()):  # a fork goes on where its origin was
        raise UserError(
            f"--lake: the dead letters of {owner.name} in {lake.root} are of another checkpoint ({other}), "
            f"not of {store.root}; give the lake of this one, or the checkpoint of that"
        )
    return table


def choose(rows: pl.DataFrame, settings: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> Chosen:
    """What of `dead_letters` rows a job can take again.

    Args:
        rows: of the table, of any job.
        settings: of the job's checkpoint.
        files: what the checkpoint remembers of those that it has read: no other is opened, whatever a row says where it
            came from.
    """
    mine = pl.col("instance").eq_missing(pl.lit(settings.get("instance"), pl.String))
    rows = rows.filter(pl.col("job") == settings["job"], mine)
    places = zip(rows["source"], rows["source_partition"], strict=True)
    is_event = [_is_event(source, partition, settings) for source, partition in places]
    events = rows.filter(pl.Series(is_event, dtype=pl.Boolean))
    clear = events.filter(~pl.col("protected"))
    rows_of = clear.filter(pl.col("rule") != Rule.UNREADABLE_FILE.value)
    readable = rows_of.filter(pl.col("rule") != Rule.BROKEN_PAYLOAD.value)
    whole = readable.filter(pl.col("rule") != Rule.ROW_TOO_LARGE.value)
    headers = {source: _header(source, files) for source in whole["source"].unique()}
    letters = whole.with_columns(
        pl.col("source").replace_strict(headers, return_dtype=pl.String).alias("header"),
        pl.col("seen_at").cast(LETTERS["seen_at"]),
    )
    headed = letters.filter(pl.col("header").is_null() | (pl.col("header") != ""))
    return Chosen(
        headed.select(LETTERS.names()),
        protected=events.height - clear.height,
        updates=rows.height - events.height,
        headless=letters.height - headed.height,
        cut=readable.height - whole.height,
        files=clear.height - rows_of.height,
        payloads=rows_of.height - readable.height,
    )


def _is_event(source: str, partition: int, settings: Mapping[str, Any]) -> bool:
    """Whether a row was read from a source of events: by its topic, or by the number of the source of its file."""
    roles: Sequence[str] = settings.get("roles", [])
    if not roles:
        return True
    for uri, role in zip(settings["sources"], roles, strict=True):
        if uri.startswith(_KAFKA) and source in uri.rpartition("/")[2].split(","):
            return bool(role == EVENTS)
    return bool(partition < len(roles) and roles[partition] == EVENTS)


def _header(source: str, files: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The header of a CSV file, empty when it cannot be read; None for what is no CSV."""
    if HEADER in files.get(source, {}):
        return str(files[source][HEADER])
    if source not in files or suffix_of(source) not in {".csv", ".tsv"}:
        return None
    try:
        return head_of(source, whole=True).header
    except (OSError, JobError):
        return ""
