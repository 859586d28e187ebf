"""The sources that flags name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import polars as pl

from ecompulse.cli.settings import JobSettings, Settings
from ecompulse.cli.topics import reading_of
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS, Source
from ecompulse.io.files import FileSource
from ecompulse.io.files.listing import passed_over
from ecompulse.io.files.streams import UnreadableFile
from ecompulse.io.kafka.source import KafkaSource
from ecompulse.io.kafka.start import refuse_topics
from ecompulse.io.sources import SourceContext, open_source
from ecompulse.kernels.foreign.dialect import PLAIN
from ecompulse.kernels.mapping import Mapping

_NAMED: Final = 3  # files that are passed over

ROWS: Final = 100
"""Rows of a source that are looked at before it is read."""


def open_sources(settings: Settings[JobSettings], mapping: Mapping | None = None) -> list[Source]:
    """The sources that a user named; UserError when nothing is there. `mapping`: of events."""
    inputs = settings.inputs
    wanted = [(EVENTS, uri) for uri in inputs.source] + list(settings.own.further)
    context = SourceContext(
        0,
        order=inputs.file_order,
        max_files=inputs.max_files_per_epoch,
        on_bad_file=inputs.on_bad_file,
        reading=reading_of(settings.kafka, bounded=not settings.endless, mapping=mapping),
        s3_endpoint=settings.places.s3_endpoint,
    )

    def opened(index: int, role: str, uri: str) -> Source:
        try:
            dialect = mapping.format if mapping and role == EVENTS else PLAIN
            return open_source(uri, replace(context, index=index, role=role, dialect=dialect))
        except UserError as error:
            raise UserError(str(error).replace("--source:", f"--{flag_of(role)}:", 1)) from None

    sources = [opened(index, role, uri) for index, (role, uri) in enumerate(wanted)]
    topics = [topic for source in sources if isinstance(source, KafkaSource) for topic in source.address.topics]
    refuse_topics(context.reading.start, topics)
    _refuse_twice(sources)
    return sources


def _refuse_twice(sources: Sequence[Source]) -> None:
    """UserError when two sources would read the same: all its rows would be there twice."""
    readers: dict[tuple[str, str], Source] = {}
    roles = Counter(source.role for source in sources)
    for source in sources:
        for name in sorted(source.reads() if roles[source.role] > 1 else ()):  # to list large folders takes its time
            other = readers.setdefault((source.role, name), source)
            if other is not source:
                alike = source.uri == other.uri
                said = f"{source.uri} is given twice" if alike else f"{source.uri} and {other.uri} both read {name}"
                raise UserError(f"--{flag_of(source.role)}: {said}; name it once")


def passed_over_line(source: Source) -> str:
    """What to say of files that a source leaves out, for their suffix or as no files; empty where there is none."""
    if not isinstance(source, FileSource):
        return ""
    other, no_files = passed_over(source.uri, source.dialect)
    them = "it" if len(other) == 1 else "them"
    lines = [
        f"{_counted(source, other)} passed over for {'its' if len(other) == 1 else 'their'} suffix: "
        f"{_shown(source, other)} (name {them} in a pattern to read {them})" if other else "",
        f"{_counted(source, no_files)} passed over, a broken link or a pipe: {_shown(source, no_files)}"
        if no_files else "",
    ]  # fmt: skip
    return "; ".join(filter(None, lines))


def _counted(source: FileSource, names: Sequence[str]) -> str:
    one = len(names) == 1
    return f"{len(names):,} file{'' if one else 's'} of {source.uri} {'is' if one else 'are'}"


def _shown(source: FileSource, names: Sequence[str]) -> str:
    below = f"{source.uri.rstrip('/')}/"
    return ", ".join([name.removeprefix(below) for name in names[:_NAMED]] + ["..."] * (len(names) > _NAMED))


def refuse_other_files(sources: Sequence[Source]) -> None:
    """UserError for a folder in which there are files, but none that is read."""
    for source in sources:
        line = passed_over_line(source)
        if line and not source.reads():
            raise UserError(f"--{flag_of(source.role)}: nothing is read: {line}")


def flag_of(role: str) -> str:
    """The flag that names sources of a role."""
    return "source" if role == EVENTS else role


def first_rows(source: Source, most: int = ROWS) -> pl.DataFrame | None:
    """At most so many rows as read, of one file, since files may differ in their columns; None when there is none.

    Of a file that turns out to be damaged it is the row that stands for it, unless such a file is to end the job.
    """
    try:
        return _first_batch(source, most)
    except UnreadableFile:  # a second plan from the same place looks into the file, and sets it aside
        return _first_batch(source, most)


def _first_batch(source: Source, most: int) -> pl.DataFrame | None:
    splits = source.plan({}, most, {}, whole=True).splits
    reader = source.reader()
    found = (batch for split in splits for batch in reader.read(split) if batch.height)
    first = next(islice(found, 1), None)
    return None if first is None else first.head(most)
