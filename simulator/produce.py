"""A shop without end: events at a rate, as time passes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from ecompulse.simulator.encode import payload
from ecompulse.simulator.episode import NO_LABELS
from ecompulse.simulator.settings import DAY_MS, Settings, SettingsError
from ecompulse.simulator.shop import Chunk, Shop, simulate
from ecompulse.simulator.store import Versions, json_lines
from ecompulse.simulator.truth import Truth, tally

YEAR_MS: Final = 365 * DAY_MS
WARM_UP_MS: Final = 15 * 60_000
"""The shop has been open for so long when the first event is sent, so that visits are under way."""

WARM_UP_EVENTS: Final = 300_000
"""Or for so many events, if that is less: above some 1,000 a second the first minutes stay below the rate."""

_LONGEST_SLICE_MS: Final = 10 * 60_000
_EVENTS_PER_SLICE: Final = 25_000
_FEWEST_SHOPPERS: Final = 500
_MOST_SHOPPERS: Final = 50_000


class Clock(Protocol):
    """Time, so that a test need not wait."""

    def now(self) -> int:
        """UTC ms."""
        ...

    def sleep(self, milliseconds: int) -> None:
        """Wait; may return earlier."""
        ...


@dataclass(frozen=True)
class RealClock:
    """The machine's clock; a set `stop` ends every sleep."""

    stop: threading.Event

    def now(self) -> int:
        """UTC ms."""
        return time.time_ns() // 1_000_000

    def sleep(self, milliseconds: int) -> None:
        """Wait, at most until `stop` is set."""
        self.stop.wait(milliseconds / 1000)


class Sink(Protocol):
    """Where a stream goes: a folder here; a Kafka topic per stream fits too."""

    def append(self, stream: str, lines: pl.Series) -> None:
        """Take whole lines (Binary, each with its end) of a stream.

        The streams are `events`, `user_updates`, `product_updates` and `labels`.
        """
        ...

    def close(self) -> None:
        """Make sure that all is out."""
        ...


@dataclass(frozen=True)
class GrowingFiles:
    """One file per stream that grows: `<folder>/<stream>.jsonl`. A reader may see a line half written."""

    folder: Path

    def append(self, stream: str, lines: pl.Series) -> None:
        """Write at the end of the stream's file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{stream}.jsonl").open("ab") as file:
            file.write(payload(lines))

    def close(self) -> None:
        """Every append is out already."""


@dataclass
class NewFiles:
    """A new file per append: `<folder>/<stream>/<now>-<number>.jsonl`, complete once it is there."""

    folder: Path
    clock: Clock
    written: int = 0

    def append(self, stream: str, lines: pl.Series) -> None:
        """Write under a hidden name, then rename."""
        target = self.folder / stream
        target.mkdir(parents=True, exist_ok=True)
        name = f"{self.clock.now():015d}-{self.written:06d}.jsonl"
        self.written += 1
        hidden = target / f".{name}.tmp"
        hidden.write_bytes(payload(lines))
        hidden.replace(target / name)

    def close(self) -> None:
        """Every append is out already."""


def live_settings(settings: Settings, rate: float, now: int) -> Settings:
    """`settings` of a shop that makes `rate` events a second from `now` (UTC ms) on, for a year.

    Raises:
        SettingsError: the rate is not above 0.
    """
    if not rate > 0:
        raise SettingsError(f"rate is {rate}: events per second must be above 0")
    length = int(min(_LONGEST_SLICE_MS, max(1_000, _EVENTS_PER_SLICE * 1000 / rate)))
    people = settings.shoppers or int(min(max(rate * 600, _FEWEST_SHOPPERS), _MOST_SHOPPERS))
    warm_up = min(WARM_UP_MS, int(WARM_UP_EVENTS * 1000 / rate))
    return replace(
        settings, start=now - warm_up,
        warm_up_ms=warm_up, duration_ms=YEAR_MS, events=max(1, int(rate * YEAR_MS / 1000)), flat=True,
        shoppers=people, slice_ms=length,
    )  # fmt: skip


def produce(
    settings: Settings,
    rate: float,
    sink: Sink,
    clock: Clock,
    *,
    stop: Callable[[], bool] = lambda: False,
    tick_ms: int = 1_000,
    begin: Callable[[Shop], None] = lambda _: None,
) -> Truth:
    """Send events to `sink` as their time comes, some `rate` a second, until `stop` says so.

    Event times follow `clock`; none is ahead of it. `live_settings` sets start, length, size and rhythm; the
    other settings hold. Every `tick_ms` all that is due is handed over as one append per stream, so that a
    producer that fell behind catches up. `begin` gets the shop before the first event, to write its side
    tables. Ends by itself after a year. Returns the truth of what was sent.
    """
    opened = clock.now()
    shop = simulate(live_settings(settings, rate, opened))
    begin(shop)
    feed, truth, highest = _Feed(shop, opened), Truth(), None
    while not stop() and (due := feed.due(clock.now())) is not None:
        added, highest = tally(due.rows, highest, settings.watermark_delay_ms)
        truth += added
        due.send(sink)
        clock.sleep(tick_ms - clock.now() % tick_ms)
    sink.close()
    return truth


@dataclass(frozen=True)
class _Due:
    """What is to be sent at one moment."""

    rows: pl.DataFrame
    events: pl.Series
    user_updates: pl.DataFrame
    product_updates: pl.DataFrame
    labels: pl.DataFrame

    def send(self, sink: Sink) -> None:
        """Hand each stream that has rows to the sink, versions before the events that need them."""
        for name in ("user_updates", "product_updates", "labels"):
            frame: pl.DataFrame = getattr(self, name)
            if frame.height:
                lines = json_lines(frame).splitlines(keepends=True)
                sink.append(name, pl.Series(lines, dtype=pl.Binary))
        if len(self.events):
            sink.append("events", self.events)


class _Feed:
    """A shop's chunks, cut by the clock. Chunks are made when the clock enters them."""

    def __init__(self, shop: Shop, opened: int) -> None:
        self._chunks = shop.chunks()
        self._sent_until = opened
        self._made_until = shop.settings.start_ms
        self._waiting: list[Chunk] = []
        self._users = Versions(shop.user_changes)
        self._products = Versions(shop.product_updates)

    def due(self, now: int) -> _Due | None:
        """All that arrives from the last call's moment until before `now`; None when the year is over."""
        now = max(now, self._sent_until)  # the machine's clock may be set back
        labels = [NO_LABELS]
        while self._made_until <= now:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            self._made_until = chunk.until
            if chunk.until > self._sent_until:  # else it is all warm-up
                self._waiting.append(chunk)
            self._users.add(chunk.accounts)
            labels.append(chunk.labels)
        cuts = [(chunk, *self._cut(chunk, now)) for chunk in self._waiting]
        self._waiting = [chunk for chunk in self._waiting if chunk.until > now]
        self._sent_until = now
        return _Due(
            rows=pl.concat([chunk.rows[first:last] for chunk, first, last in cuts]),
            events=pl.concat([chunk.lines[first:last] for chunk, first, last in cuts]),
            user_updates=self._users.until(now),
            product_updates=self._products.until(now),
            labels=pl.concat(labels),
        )

    def _cut(self, chunk: Chunk, now: int) -> tuple[int, int]:
        """Positions of the chunk's rows that are due."""
        arrival = chunk.rows["arrival"]
        return int(arrival.search_sorted(self._sent_until)), int(arrival.search_sorted(now))
