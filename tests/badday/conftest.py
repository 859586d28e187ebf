"""Events of a shop by the clock, in files that come one after the other."""

import json
import time

import pytest

from support.process import write_lines


class Feed:
    """Writes a file of events at each call; `bend` changes each event as it is written."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.calls = 0
        self.count = 40
        self.bend = lambda event: event

    def __call__(self) -> None:
        self.calls += 1
        events = [self.bend(self.event(number)) for number in range(self.count)]
        write_lines(self.folder / f"{self.calls:05d}.jsonl", map(json.dumps, events))

    def event(self, number):
        return {
            "event_id": f"e{self.calls}-{number}", "event_type": "page_view", "user_id": f"u{number % 17}",
            "event_time": int(time.time() * 1000), "url": "https://shop.example/p/1",
        }  # fmt: skip


@pytest.fixture
def feed(tmp_path):
    return Feed(tmp_path / "events")
