"""Two thousand partitions are read under a limit of the address space."""

import json
import resource
import subprocess
import sys

import pytest

from support import bounded
from support.topics import Topics

pytestmark = pytest.mark.slow

LIMIT = 3 << 30
PARTITIONS = 2_000
GOOD = b'{"event_id":"e","event_type":"search","event_time":"2026-03-01T00:00:00Z","user_id":"u"}'


@pytest.mark.heavy("two thousand partitions are made, and read one after the other")
@pytest.mark.night
def test_two_thousand_partitions_are_read_in_little_memory(topics: Topics) -> None:
    name = topics.make(PARTITIONS)
    with topics.producer() as producer:
        for number in range(2 * PARTITIONS):
            producer.send(name, value=GOOD if number % 5 else b"no event", partition=number % PARTITIONS)
    done = subprocess.run(
        [sys.executable, bounded.__file__, f"kafka://{topics.bootstrap}/{name}"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
    )
    topics.delete(name)
    assert done.returncode == 0, done.stderr[-1000:]
    assert json.loads(done.stdout) == {"good": 8 * PARTITIONS // 5, "dead": 2 * PARTITIONS // 5, "plans": 1}
