"""Which task of the next stage gets which elements: by key, so that all of a key are in one."""

import zlib
from collections import defaultdict
from typing import Any

from ecompulse.runners.spark.beam_internals import create_InputStream


def task_of(key: Any, encoded: bytes, tasks: int) -> int:
    """The task that has a key: `key % tasks` of a whole number, else by a hash of its bytes.

    Keys are few where they are numbers of shards, and a hash would share them out unevenly.
    """
    return key % tasks if isinstance(key, int) else zlib.crc32(encoded) % tasks


def split_by_task(data: bytes, coder: Any, tasks: int) -> dict[int, bytes]:
    """Encoded elements by the task that gets them; their own bytes are passed on.

    Args:
        data: elements one after the other.
        coder: of windowed pairs of key and value.
        tasks: of the next stage.
    """
    if tasks == 1:
        return {0: data} if data else {}
    element, key = coder.get_impl(), coder.wrapped_value_coder.key_coder().get_impl()
    stream, size = create_InputStream(data), len(data)
    parts: defaultdict[int, list[bytes]] = defaultdict(list)
    begin = 0
    while begin < size:
        found = element.decode_from_stream(stream, True).value[0]
        end = size - stream.size()
        parts[task_of(found, key.encode(found), tasks)].append(data[begin:end])
        begin = end
    return {task: b"".join(pieces) for task, pieces in parts.items()}
