import json
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import pytest

from ecompulse.simulator.episodes import CardTesting
from ecompulse.simulator.produce import GrowingFiles, NewFiles, live_settings, produce
from ecompulse.simulator.settings import Settings, SettingsError, instant

pytestmark = pytest.mark.slow  # shops of seconds

OPENED = 1_760_000_000_400
SETTINGS = Settings(seed=2, broken=0, late=0, products=50)


@dataclass
class FakeClock:
    """Sleeping moves it; after `length` ms it says stop."""

    length: int
    time: int = OPENED

    def now(self) -> int:
        return self.time

    def sleep(self, milliseconds: int) -> None:
        assert milliseconds > 0
        self.time += milliseconds

    def over(self) -> bool:
        return self.time > OPENED + self.length


@dataclass
class Memory:
    clock: FakeClock
    closed: bool = False
    appended: list[tuple[int, str, list[bytes]]] = field(default_factory=list)

    def append(self, stream: str, lines: pl.Series) -> None:
        self.appended.append((self.clock.now(), stream, lines.to_list()))

    def close(self) -> None:
        self.closed = True

    def events(self) -> list[tuple[int, dict]]:
        return [(now, json.loads(line)) for now, stream, rows in self.appended for line in rows if stream == "events"]


def run(rate: float, length: int, **options: Any) -> tuple[Memory, object]:
    clock = FakeClock(length)
    sink = Memory(clock)
    return sink, produce(SETTINGS, rate, sink, clock, stop=clock.over, **options)


def test_events_come_at_the_rate_and_never_from_the_future() -> None:
    sink, truth = run(rate=20, length=120_000)
    events = sink.events()
    assert len(events) == pytest.approx(20 * 120, rel=0.25)
    assert all(instant(event["event_time"]) < now for now, event in events)
    assert truth.rows == len(events)
    assert sink.closed


def test_the_shop_is_busy_from_the_first_second() -> None:
    sink, _ = run(rate=50, length=10_000)
    assert len(sink.events()) == pytest.approx(500, rel=0.4)


def test_ticks_do_not_change_what_is_sent() -> None:
    fine, coarse = run(rate=20, length=60_000)[0], run(rate=20, length=60_000, tick_ms=7_000)[0]
    sent = [event["event_id"] for _, event in fine.events()]
    other = [event["event_id"] for _, event in coarse.events()]
    shared = min(len(sent), len(other))
    assert shared > 600
    assert sent[:shared] == other[:shared]


def test_nothing_is_sent_twice_when_the_clock_is_set_back() -> None:
    class Wavering(FakeClock):
        def sleep(self, milliseconds: int) -> None:
            super().sleep(milliseconds)
            if self.time == OPENED - 400 + 5_000:
                self.time -= 3_000
                self.length = 15_000

    clock = Wavering(20_000)
    sink = Memory(clock)
    calls = iter(range(40))
    produce(SETTINGS, 20, sink, clock, stop=lambda: next(calls) == 30)
    ids = [event["event_id"] for _, event in sink.events()]
    assert len(ids) - len(set(ids)) <= 0.05 * len(ids)  # retries only
    assert len(ids) > 50


def test_updates_and_sign_ups_are_streams_too() -> None:
    sink, _ = run(rate=100, length=120_000)
    signups = {event["user_id"] for _, event in sink.events() if event["event_type"] == "signup"}
    updates = [json.loads(row) for _, stream, rows in sink.appended for row in rows if stream == "user_updates"]
    assert signups
    assert signups <= {update["user_id"] for update in updates}


def test_side_tables_are_ready_before_the_first_event() -> None:
    clock = FakeClock(3_000)
    sink, seen = Memory(clock), []

    def begin(shop) -> None:
        seen.append((shop.products.height, len(sink.appended)))

    produce(SETTINGS, 20, sink, clock, stop=clock.over, begin=begin)
    assert seen == [(50, 0)]
    assert sink.events()


def test_new_files_are_whole_and_in_order(tmp_path) -> None:
    clock = FakeClock(20_000)
    truth = produce(SETTINGS, 30, NewFiles(tmp_path, clock), clock, stop=clock.over)
    files = sorted((tmp_path / "events").iterdir())
    assert len(files) > 15
    assert not any(file.name.startswith(".") for file in files)
    rows = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert len(rows) == truth.rows


def test_a_growing_file_holds_the_same_lines(tmp_path) -> None:
    clocks = FakeClock(20_000), FakeClock(20_000)
    produce(SETTINGS, 30, NewFiles(tmp_path / "new", clocks[0]), clocks[0], stop=clocks[0].over)
    produce(SETTINGS, 30, GrowingFiles(tmp_path / "one"), clocks[1], stop=clocks[1].over)
    new = b"".join(file.read_bytes() for file in sorted((tmp_path / "new" / "events").iterdir()))
    assert (tmp_path / "one" / "events.jsonl").read_bytes() == new


def test_an_episode_is_timed_from_the_first_event_sent() -> None:
    clock = FakeClock(40_000)
    sink = Memory(clock)
    live = replace(SETTINGS, episodes=(CardTesting(after_ms=10_000, cards=30, length_ms=20_000),))
    produce(live, 20, sink, clock, stop=clock.over)
    labels = [json.loads(row) for _, stream, rows in sink.appended for row in rows if stream == "labels"]
    tried = {label["transaction_id"] for label in labels}
    times = [instant(e["event_time"]) - OPENED for _, e in sink.events() if e.get("payment_id") in tried]
    assert len(tried) == 30
    assert times
    assert min(times) >= 10_000
    assert max(times) < 30_000


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(SettingsError, match="rate is 0"):
        live_settings(SETTINGS, 0, OPENED)


def test_high_rates_use_short_slices_and_a_short_warm_up() -> None:
    live = live_settings(SETTINGS, 50_000, OPENED)
    assert live.slice_ms == 1_000
    assert OPENED - live.start_ms == 6_000
