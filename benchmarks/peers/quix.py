"""What a user of Quix Streams writes: JOB SHOP OUT BROKER TOPIC, as a program of its own, from Kafka to Parquet.

The topic's keys are visitors. State is in RocksDB with a changelog in Kafka, as is the default; metrics and cards are
keyed anew through a topic in Kafka. It ends when nothing has come for a while, and says how long that was. Without dead
letters, data quality and late rows; what more each leaves out its docstring says.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from quixstreams import Application, State
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.dataframe.windows import Count, Max, Sum
from quixstreams.sinks.community.file.formats import ParquetFormat
from quixstreams.sinks.community.file.local import LocalFileSink

from benchmarks.peers.rows import VIEWS, Event, Lookups, event_of, line_value, millis, plain

IDLE: Final = 15.0  # seconds without a message: a broker on a busy machine hands out partitions slowly
INSTANCES: Final = 2
GRACE: Final = timedelta(minutes=10)
MINUTE: Final = timedelta(minutes=1)


class Parquet(LocalFileSink):
    """Files below a folder of the working directory: the sink refuses paths with a hyphen."""

    def __init__(self, out: Path) -> None:
        """To the folder of this name."""
        super().__init__(directory=out.name, format=ParquetFormat())


def event_enrichment(events: StreamingDataFrame, shop: Path, out: Path) -> None:
    """All look-ups; without policy, classes of channel, doubles instead of decimals."""
    events.apply(Lookups(shop).enrich).apply(plain).sink(Parquet(out / "rows"))


def session_analytics(events: StreamingDataFrame, shop: Path, out: Path) -> None:
    """Windows of sessions; without pages, their events, funnels, carts, a visitor's two ids. Open ones stay open.

    Closed by the visitor's own time, as is the default, so that a last session is never out. By the partition's time it
    would be, but that looks at all open sessions with every event: ten times the CPU at 100,000 events.
    """
    visits = events.apply(Lookups(shop).price).apply(_visit)
    window = visits.session_window(timedelta(minutes=30), grace_ms=GRACE, on_late=_quiet).agg(
        events=Count(), purchases=Sum("purchases"), revenue_base=Sum("revenue_base"), session_end=Max("at")
    )
    found = window.final().apply(_session, metadata=True)
    found.sink(Parquet(out / "rows"))


def _quiet(*_late: Any) -> bool:
    return False  # no line in the log for each


def _visit(event: Event) -> Event:
    at = millis(event["event_time"])
    return {"purchases": int(event["event_type"] == "purchase"), "revenue_base": line_value(event), "at": at}


def _session(window: Event, key: Any, _timestamp: int, _headers: Any) -> Event:
    return {"visitor": key.decode(), "session_start": window["start"], **window}


def realtime_metrics(events: StreamingDataFrame, shop: Path, out: Path) -> None:
    """Two figures in two kinds of window: it has no distinct counts and no quantiles."""
    told = events.apply(Lookups(shop).price).apply(_figures).group_by(lambda _event: "shop", name="shop")
    agg = {"page_views": Sum("page_views"), "revenue": Sum("revenue")}
    for name, window in (
        ("1m", told.tumbling_window(MINUTE, grace_ms=GRACE, on_late=_quiet)),
        ("10m", told.hopping_window(10 * MINUTE, MINUTE, grace_ms=GRACE, on_late=_quiet)),
    ):
        found = window.agg(**agg).final().apply(lambda window: {"window_start": window["start"], **window})
        found.sink(Parquet(out / name))


def _figures(event: Event) -> Event:
    return {"page_views": int(event["event_type"] in VIEWS), "revenue": line_value(event)}


def anomaly_detection(events: StreamingDataFrame, shop: Path, out: Path) -> None:
    """How far a card's payment is from its own mean; one feature of one entity, and nothing that learns."""
    paid = events.filter(lambda event: event["event_type"] == "payment").apply(Lookups(shop).price)
    paid = paid.filter(lambda event: event.get("card_id") and event["amount_base"] is not None)
    cards = paid.apply(lambda event: {name: event[name] for name in ("card_id", "amount_base")}).group_by("card_id")
    cards.apply(_score, stateful=True).sink(Parquet(out / "rows"))


def _score(event: Event, state: State) -> Event:
    count, total, squares = state.get("moments", (0, 0.0, 0.0))
    amount = event["amount_base"]
    mean = total / count if count else 0.0
    deviation = max(squares / count - mean * mean, 0.0) ** 0.5 if count else 0.0
    state.set("moments", (count + 1, total + amount, squares + amount * amount))
    score = abs(amount - mean) / (deviation + 1.0)
    return {"card_id": event["card_id"], "payments": count, "mean": mean, "deviation": deviation, "score": score}


JOBS: Final = {
    made.__name__: made for made in (event_enrichment, session_analytics, realtime_metrics, anomaly_detection)
}


def follow(job: str, shop: str, out: str, broker: str, topic: str) -> float:
    """One instance until nothing comes; returns when it had its last message."""
    os.chdir(out)
    last = [time.monotonic()]

    def processed(*_place: Any) -> None:
        last[0] = time.monotonic()

    app = Application(
        broker, consumer_group=f"{job}-{Path(out).name}", auto_offset_reset="earliest",
        state_dir=f"{out}/state-{os.getpid()}", on_message_processed=processed, loglevel="WARNING",
    )  # fmt: skip
    events = app.dataframe(app.topic(topic, value_deserializer="bytes")).apply(event_of)
    events = events.filter(lambda event: event is not None)
    events = events.set_timestamp(lambda event, *_: millis(event["event_time"]))
    JOBS[job](events, Path(shop), Path(out))
    app.run(timeout=IDLE)
    return last[0]


def main(*given: str) -> None:
    """Run both instances of one job, and print the seconds that they waited at the end for nothing."""
    with ProcessPoolExecutor(INSTANCES, mp_context=get_context("spawn")) as pool:
        ended = [pool.submit(follow, *given) for _ in range(INSTANCES)]
        last = max(instance.result() for instance in ended)
    sys.stdout.write(f"{time.monotonic() - last}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
