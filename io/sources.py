"""Sources by the scheme of their URI; what has none is a path."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS, Source
from ecompulse.io.delta import DeltaSource, is_table
from ecompulse.io.files import FileSource
from ecompulse.io.kafka.source import KafkaSource, Reading
from ecompulse.io.schemes import Schemes, UnknownSchemeError
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect

LOCAL: Final = "file"


@dataclass(frozen=True)
class SourceContext:
    """What a source is opened with, besides its URI.

    Attributes:
        index: its number among the sources, which its splits carry.
        role: of its rows.
        order: of files: `name` or `mtime`.
        max_files: begun per epoch.
        on_bad_file: `quarantine` or `stop`.
        reading: of topics.
        s3_endpoint: of tables in buckets.
        dialect: how text files are written.
    """

    index: int
    role: str = EVENTS
    order: str = "name"
    max_files: int = 1000
    on_bad_file: str = "quarantine"
    reading: Reading = field(default_factory=Reading)
    s3_endpoint: str | None = None
    dialect: Dialect = PLAIN


SourceOpener = Callable[[str, SourceContext], Source]
"""Opens a source; UserError, beginning with `--source: `, when nothing is there. Its reader must be picklable."""

SOURCES: Final = Schemes[SourceOpener](
    "source",
    {
        "kafka": "ecompulse.io.sources:_open_topics",
        "s3": "ecompulse.io.sources:_open_files",
        LOCAL: "ecompulse.io.sources:_open_files",
    },
)
_LIVE: Final = {"kafka"}


def register_source(scheme: str, opener: SourceOpener, *, live: bool = False) -> None:
    """Make `scheme:...` open with `opener` in this process; `live`: it has no end, as a topic has none."""
    SOURCES.register(scheme, opener)
    (_LIVE.add if live else _LIVE.discard)(scheme)


def is_live(uri: str) -> bool:
    """Whether a source has no end."""
    return uri.partition(":")[0] in _LIVE


def open_source(uri: str, context: SourceContext) -> Source:
    """The source for topics, a table, path, folder or glob; UserError when nothing is there or nobody opens it."""
    try:
        return SOURCES.opener(uri if "://" in uri else f"{LOCAL}:{uri}")(uri, context)
    except UnknownSchemeError as error:
        raise UserError(f"--source: {error}; give kafka://, a path, a folder or a glob") from None


def _open_files(uri: str, context: SourceContext) -> Source:
    path = uri.removeprefix("file://")
    if not path:
        raise UserError(f"--source: {uri}: names no path")
    place = uri if uri.startswith("s3://") else str(Path(path).absolute())
    source: DeltaSource | FileSource
    if is_table(place):
        where, most = place.rstrip("/"), context.max_files
        source = DeltaSource(where, context.index, most, context.role, context.s3_endpoint, context.on_bad_file)
    else:
        order, most = context.order, context.max_files
        source = FileSource(place, context.index, order, most, context.role, context.on_bad_file, context.dialect)
    source.check()
    return source


def _open_topics(uri: str, context: SourceContext) -> Source:
    source = KafkaSource(uri, context.index, context.reading, context.role)
    try:
        source.check()
    except ModuleNotFoundError as error:
        raise UserError(f"--source: {uri}: {error.name} is not installed; pip install 'ecompulse[kafka]'") from None
    return source
