"""Whether workers see the files that the driver sees."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext


def unreadable(context: "SparkContext", contents: Mapping[str, bytes]) -> list[str]:
    """Paths, of files with these contents, that some worker cannot read.

    Two tasks for each that fits at once look; a machine that joins later has not been asked.
    """
    tasks = 2 * context.defaultParallelism
    found = context.parallelize(range(tasks), tasks).flatMap(lambda _task: _different(contents)).collect()
    return sorted(set(found))


def _different(contents: Mapping[str, bytes]) -> list[str]:
    return [path for path, content in contents.items() if _read(path) != content]


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None
