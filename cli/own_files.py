"""What a job writes itself must not be among what it reads: it would never come to an end of it."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from ecompulse.cli.places import warehouse_of
from ecompulse.cli.settings import JobSettings, Settings
from ecompulse.cli.sources import flag_of
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Source
from ecompulse.io.files import FileSource
from ecompulse.io.files.listing import may_list
from ecompulse.io.sinks.jsonlines import folder_of

_TABLES: Final = ("dead_letters", "data_quality")
"""What every job writes; other tables of a lake may be another job's, which this one may read."""

_CHECKPOINT: Final = ("meta.json", "seals/0.json", "runs/0-0/plan.json", "state/operator/0/0.parquet")
_LAKE: Final = tuple(f"{table}/{file}" for table in _TABLES for file in ("_delta_log/0.json", "day=0/0.parquet"))
_LINES: Final = tuple(f"{table}-0.jsonl" for table in _TABLES)
_FILES: Final = {"checkpoint": _CHECKPOINT, "checkpoint_backup": _CHECKPOINT, "lake": _LAKE}
"""Files, as an example of each kind, by the flag of the folder that they will be in."""


def check_own_files(job: str, settings: Settings[JobSettings], sources: Sequence[Source]) -> None:
    """UserError for a source of files that would read what the job writes; nothing need be there yet."""
    for source in sources:
        if not isinstance(source, FileSource):
            continue
        for flag, place, files in _own_files(job, settings):
            if any(may_list(source.uri, os.path.join(place, file)) for file in files):  # noqa: PTH118  # may be empty
                raise UserError(
                    f"--{flag_of(source.role)}: {source.uri}: the job's own --{flag}, {place}, is among it; "
                    "name the files by a pattern such as 'FOLDER/*.jsonl', or keep them in a folder of their own"
                )


def _own_files(job: str, settings: Settings[JobSettings]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Flag, place on this machine, and files that will be there."""
    for flag, place in settings.places.stores_of(job):
        if "://" not in place:
            yield flag, place, _FILES[flag]
    for uri in settings.outputs.sink:
        if uri.startswith("jsonl:"):
            yield "sink", folder_of(uri), _LINES
    if settings.places.warehouse != "none":
        from ecompulse.io.sinks.database import file_of, open_engine  # here: SQLAlchemy takes its time

        database = file_of(open_engine(warehouse_of(settings.places)))
        if database:
            yield "warehouse", str(database), ("",)
