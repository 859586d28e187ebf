"""Files that would fill any memory are read under a limit of the address space, in bounded time."""

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support import bounded
from support.marks import nightly

pytestmark = pytest.mark.slow

LIMIT = 3 << 30
"""Bytes of address space, of which libraries and the stacks of their threads take two thirds."""

GOOD = b'{"event_id":"e","event_type":"search","event_time":"2026-03-01T00:00:00Z","user_id":"u"}\n'
HEADER, CELLS = b"event_id,event_type,event_time,user_id\n", b"e,search,2026-03-01T00:00:00Z,u\n"
MB = 1_000_000


Part = tuple[bytes, int, int]
"""A text, how often it stands in a gzip member, and how often that member follows."""


def archive(name: str, *parts: Part) -> Callable[[Path], None]:
    """Writes a file of parts one after the other: gzip members may follow each other."""

    def write(folder: Path) -> None:
        members = (gzip.compress(text * repeated, 1) * times for text, repeated, times in parts)
        (folder / name).write_bytes(b"".join(members))

    return write


def many(folder: Path) -> None:
    for number in range(10_000):
        (folder / f"{number:05d}.jsonl").write_bytes(GOOD)


CASES: dict[str, tuple[Callable[[Path], None], dict[str, int]]] = {
    "a line of 2 GB": (
        archive("a.jsonl.gz", (b"x", 50 * MB, 40), (b"\n" + GOOD, 1, 1)), {"good": 1, "dead": 1, "plans": 1}
    ),
    "an open quote before 2 GB": (
        archive("a.csv.gz", (HEADER + CELLS + b'e,"', 1, 1), (b"x", 50 * MB, 40), (b"\n" + CELLS, 1, 1)),
        {"good": 2, "dead": 1, "plans": 1},
    ),
    "1 GB of line ends": (
        archive("a.jsonl.gz", (GOOD, 1, 1), (b"\n", 50 * MB, 20), (GOOD, 1, 1)), {"good": 2, "dead": 0}
    ),
    "1 GB of line ends of Windows": (
        archive("a.csv.gz", (HEADER + CELLS, 1, 1), (b"\r\n", 25 * MB, 20), (CELLS, 1, 1)), {"good": 2, "dead": 0}
    ),
    "zeros": (archive("a.jsonl.gz", (b"\0", 50 * MB, 40), (b"\n" + GOOD, 1, 1)), {"good": 1, "dead": 1}),
    "ten thousand files": (many, {"good": 10_000, "dead": 0, "plans": 10}),
}  # fmt: skip


@pytest.mark.heavy("ten thousand files, at night")
@pytest.mark.parametrize("case", nightly(CASES, ["a line of 2 GB"]))
def test_what_would_fill_any_memory_is_read_in_little(tmp_path, case):
    make, expected = CASES[case]
    make(tmp_path)
    done = subprocess.run(
        [sys.executable, bounded.__file__, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
    )
    assert done.returncode == 0, done.stderr[-1000:]
    found = json.loads(done.stdout)
    assert {name: found[name] for name in expected} == expected
    assert found["plans"] <= 20
