import sys

import pytest

from benchmarks.measure import tree

BUSY = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"


def python(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(lines)]


@pytest.mark.slow
def test_children_and_orphans_count():
    child = f"subprocess.run([sys.executable, '-c', {BUSY.format(0.3)!r}])"
    orphan = f"subprocess.Popen([sys.executable, '-c', {BUSY.format(0.4)!r}], start_new_session=True)"
    cost, last = tree(python("import subprocess, sys", child, orphan, "print('first')", "print('last')"))
    assert last == "last"
    assert 0.7 <= cost.cpu < 3
    assert 5 < cost.peak_mb < 500


@pytest.mark.slow
def test_a_failure_says_its_last_words():
    with pytest.raises(RuntimeError, match="no such thing"):
        tree(python("raise SystemExit('no such thing')"))
