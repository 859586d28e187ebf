"""Sources by URI."""

from pathlib import Path

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS, Source
from ecompulse.io.delta import DeltaSource, is_table
from ecompulse.io.files import FileSource
from ecompulse.io.kafka.address import SCHEME
from ecompulse.io.kafka.source import KafkaSource, Reading


def open_source(
    uri: str,
    index: int,
    *,
    order: str,
    max_files: int,
    role: str = EVENTS,
    reading: Reading | None = None,
    s3_endpoint: str | None = None,
    on_bad_file: str = "quarantine",
) -> Source:
    """The source for topics, a table, path, folder or glob; UserError when nothing is there or the scheme is not known.

    `reading` is of topics; `order`, `max_files` (begun per epoch) and `on_bad_file` are of files; `s3_endpoint` is of
    tables in buckets.
    """
    scheme, separator, rest = uri.partition("://")
    if uri.startswith(SCHEME):
        return _open_topics(KafkaSource(uri, index, reading or Reading(), role))
    if separator and scheme not in {"file", "s3"}:
        raise UserError(f"--source: {uri}: no source for {scheme}://; give kafka://, a path, a folder or a glob")
    place = uri if scheme == "s3" else str(Path(rest if separator else uri).absolute())
    source: DeltaSource | FileSource
    if is_table(place):
        source = DeltaSource(place.rstrip("/"), index, max_files, role, s3_endpoint, on_bad_file)
    else:
        source = FileSource(place, index, order, max_files, role, on_bad_file)
    source.check()
    return source


def _open_topics(source: KafkaSource) -> KafkaSource:
    try:
        source.check()
    except ModuleNotFoundError as error:
        raise UserError(
            f"--source: {source.uri}: {error.name} is not installed; pip install 'ecompulse[kafka]'"
        ) from None
    return source
