"""A shop that the pages show."""

import json
import os

import pytest

from support.process import command

HOSTILE = "<script>alert(1)</script>"
START = 1_700_006_400_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small hour of a shop through two jobs, one row of it bad."""
    root = tmp_path_factory.mktemp("ui")
    rows = [
        {"event_id": f"e{at}", "event_type": "page_view", "event_time": START + at * 20_000, "user_id": f"u{at % 7}"}
        for at in range(180)
    ]
    lines = [*map(json.dumps, rows), f'{{"event_id": "{HOSTILE}"']
    (root / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for job in ("realtime_metrics", "session_analytics"):
        flags = [f"--checkpoint={root / 'checkpoints' / job}", f"--lake={root / 'lake'}", "--drain", "--progress=none"]
        flags += [f"--warehouse=sqlite:///{root / 'w.db'}", f"--source={root / 'events.jsonl'}"]
        assert command(f"pipelines.{job}", *flags)[0] == 0
        os.utime(root / "checkpoints" / job / "lock", (0, 0))  # for some seconds nobody could tell that it has stopped
    return root
