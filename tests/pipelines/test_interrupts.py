"""A signal while a program is still being imported ends it quietly."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 60.0

PROGRAMS = [
    ("-m", "pipelines.event_enrichment", "--source=none.jsonl"),
    ("-m", "pipelines", "show"),
    ("-m", "ecompulse.simulator", "--out=out"),
    (str(Path(sys.executable).with_name("ecompulse")), "session_analytics", "--source=none.jsonl"),
]


def catches(process, number):
    """Whether a process has a handler of its own for a signal."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", PROGRAMS, ids=["job", "tool", "simulator", "script"])
def test_a_program_that_has_just_started_ends_with_130_and_no_word(tmp_path, program, number):
    command = [sys.executable, *program]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE
    while not catches(process, signal.SIGTERM) and time.monotonic() < end:  # of SIGINT Python has one from the start
        time.sleep(0.001)
    process.send_signal(number)
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())
