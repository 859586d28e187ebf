"""What a user of Bytewax writes: dataflows for `bytewax.run`, one per job, from JSON lines to Parquet.

Windows and state are by key, with the watermark of the key. Enrichment reads files side by side on two processes; what
keeps state reads them in order, in one process: events that pass from process to process are pickled, and two were
slower. Without recovery, dead letters, data quality and late rows; what more each leaves out its docstring says.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import bytewax.operators as op
import bytewax.operators.windowing as win
import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import KeyedStream
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from benchmarks.peers.rows import VIEWS, Event, Lookups, event_of, files_of, line_value, lines_of, plain, visitor_of

ROWS: Final = 50_000  # of a file
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
CLOCK: Final = win.EventClock(
    lambda event: event["event_time"],
    wait_for_system_duration=timedelta(minutes=10),
    # Each open window of the past would wake its key with every batch: 135 CPU s for 400,000 events' sessions.
    to_system_utc=lambda _moment: None,
)
WINDOWS: Final = {
    "1m": win.TumblingWindower(MINUTE, align_to=EPOCH),
    "10m": win.SlidingWindower(10 * MINUTE, offset=MINUTE, align_to=EPOCH),
}


class _Lines(StatefulSourcePartition[bytes, None]):
    def __init__(self, files: list[Path]) -> None:
        self._batches = lines_of(files)

    def next_batch(self) -> Iterable[bytes]:
        return next(self._batches)  # StopIteration is the end, for Bytewax too

    def snapshot(self) -> None:
        return None


class Files(FixedPartitionedSource[bytes, None]):
    """Lines of the shop's files, side by side or in order.

    Bytewax's own source of files decodes text, and ends the flow at the first byte that is not UTF-8.
    """

    def __init__(self, shop: Path, *, in_order: bool) -> None:
        """Nothing is opened yet."""
        files = files_of(shop)
        self._parts = {"all": files} if in_order else {file.name: [file] for file in files}

    def list_parts(self) -> list[str]:
        """What may be read at the same time."""
        return list(self._parts)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Lines:  # noqa: ARG002
        """From the beginning."""
        return _Lines(self._parts[for_part])


class _File(StatelessSinkPartition[Event]):
    def __init__(self, stem: Path) -> None:
        self._stem, self._rows, self._files = stem, [], 0  # type: ignore[var-annotated]
        stem.parent.mkdir(parents=True, exist_ok=True)

    def write_batch(self, items: list[Event]) -> None:
        self._rows += items
        if len(self._rows) >= ROWS:
            self.close()

    def close(self) -> None:
        if self._rows:
            names = sorted({name for row in self._rows for name in row})
            columns = {name: [row.get(name) for row in self._rows] for name in names}
            pq.write_table(pa.table(columns), f"{self._stem}-{self._files}.parquet")
            self._rows, self._files = [], self._files + 1


class Parquet(DynamicSink[Event]):
    """Files of each worker, without transactions."""

    def __init__(self, out: Path) -> None:
        """To this folder."""
        self._out = out

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _File:  # noqa: ARG002
        """Of one worker."""
        return _File(self._out / f"{step_id.rpartition('.')[2]}-{worker_index}")


def event_enrichment(flow: Dataflow, shop: Path, out: Path) -> None:
    """All look-ups; without policy, classes of channel, doubles instead of decimals."""
    events = op.filter_map("decode", op.input("in", flow, Files(shop, in_order=False)), event_of)
    enriched = op.map("enrich", events, Lookups(shop).enrich)
    op.output("out", op.map("row", enriched, plain), Parquet(out / "rows"))


def session_analytics(flow: Dataflow, shop: Path, out: Path) -> None:
    """Windows of sessions; without their events, funnels, carts, transitions, a longest one, a visitor's two ids."""
    visits = op.key_on("visitor", _priced(flow, shop), visitor_of)
    windower = win.SessionWindower(gap=timedelta(minutes=30) - timedelta(milliseconds=1))
    found = win.fold_window("session", visits, CLOCK, windower, dict, _visit, _merged, ordered=False)
    op.output("out", op.map("row", found.down, lambda pair: {"visitor": pair[0], **pair[1][1]}), Parquet(out / "rows"))


def _visit(found: Event, event: Event) -> Event:
    at, line, kind = event["event_time"], line_value(event), event["event_type"]
    one = {
        "session_start": at, "session_end": at, "events": 1, "page_views": int(kind == "page_view"),
        "purchases": int(kind == "purchase"), "revenue_base": line,
        "entry_url": event.get("url"), "exit_url": event.get("url"),
    }  # fmt: skip
    return _merged(found, one) if found else one


def _merged(one: Event, other: Event) -> Event:
    first, last = sorted((one, other), key=lambda found: found["session_start"])
    ending = max((first, last), key=lambda found: found["session_end"])
    sums = {name: one[name] + other[name] for name in ("events", "page_views", "purchases", "revenue_base")}
    return {**first, **sums, "session_end": ending["session_end"], "exit_url": ending["exit_url"]}


def realtime_metrics(flow: Dataflow, shop: Path, out: Path) -> None:
    """Four figures in two kinds of window; without 17 more metrics, quantiles, dimensions, revisions, alerts."""
    events = op.key_on("all", _priced(flow, shop), lambda _event: "shop")
    for name, windower in WINDOWS.items():
        found = win.fold_window(f"kpi_{name}", events, CLOCK, windower, _nothing, _count, _sum, ordered=False)
        op.output(f"out_{name}", op.map(f"row_{name}", found.down, partial(_window, name)), Parquet(out / name))


def _nothing() -> Event:
    return {"page_views": 0, "revenue": 0.0, "orders": set(), "visitors": set()}


def _count(found: Event, event: Event) -> Event:
    found["page_views"] += event["event_type"] in VIEWS
    found["revenue"] += line_value(event)
    if event["event_type"] == "purchase":
        found["orders"].add(event.get("order_id"))
    found["visitors"].add(visitor_of(event))
    return found


def _sum(one: Event, other: Event) -> Event:
    return {name: one[name] | other[name] if isinstance(one[name], set) else one[name] + other[name] for name in one}


def _window(name: str, pair: tuple[str, tuple[int, Event]]) -> Event:
    number, found = pair[1]
    sizes = {key: len(value) if isinstance(value, set) else value for key, value in found.items()}
    return {"window_start": EPOCH + number * MINUTE, "window": name, **sizes}


def anomaly_detection(flow: Dataflow, shop: Path, out: Path) -> None:
    """How far a card's payment is from its own mean; one feature of one entity, and nothing that learns."""
    paid = op.filter("paid", _priced(flow, shop), lambda event: event["event_type"] == "payment")
    known = op.filter("known", paid, lambda event: bool(event.get("card_id")) and event["amount_base"] is not None)
    cards: KeyedStream[Event] = op.key_on("card", known, lambda event: event["card_id"])
    scored = op.stateful_map("score", cards, _score)
    op.output("out", op.map("row", scored, lambda pair: {"card_id": pair[0], **pair[1]}), Parquet(out / "rows"))


def _score(state: tuple[int, float, float] | None, event: Event) -> tuple[tuple[int, float, float], Event]:
    count, total, squares = state or (0, 0.0, 0.0)
    amount = event["amount_base"]
    mean = total / count if count else 0.0
    deviation = max(squares / count - mean * mean, 0.0) ** 0.5 if count else 0.0
    row = {"payments": count, "mean": mean, "deviation": deviation, "score": abs(amount - mean) / (deviation + 1.0)}
    return (count + 1, total + amount, squares + amount * amount), row


def _priced(flow: Dataflow, shop: Path) -> Stream[Event]:
    events = op.filter_map("decode", op.input("in", flow, Files(shop, in_order=True)), event_of)
    return op.map("price", events, Lookups(shop).price)


FLOWS: Final = {
    made.__name__: made for made in (event_enrichment, session_analytics, realtime_metrics, anomaly_detection)
}


def make(job: str, shop: str, out: str) -> Dataflow:
    """The dataflow of a job: `bytewax.run "benchmarks.peers.bytewax_flow:make('JOB', 'SHOP', 'OUT')"`."""
    flow = Dataflow(job)
    FLOWS[job](flow, Path(shop), Path(out))
    return flow
