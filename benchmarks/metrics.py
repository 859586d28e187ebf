"""realtime_metrics: the standard set from decoded columns and from JSON, sliding beside tumbling, a million series."""

import statistics
import tempfile
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.enrichment import make_shop
from benchmarks.measure import Cost, cpu_of, median, process, table
from benchmarks.state import BASE, World
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.cardinality import bounded, unbounded
from ecompulse.kernels.metrics.definition import parse_metrics, standard_metrics
from ecompulse.kernels.metrics.kernel import CombineSlices
from ecompulse.kernels.metrics.plan import Plan
from ecompulse.kernels.metrics.settlement import order_events, settled
from ecompulse.kernels.metrics.slices import late_rows, to_slices
from ecompulse.kernels.metrics.streams import Streams, streams_of
from ecompulse.kernels.metrics.visits import as_events, condensed
from ecompulse.kernels.step import Clock, Kernel

ROWS: Final = 1_000_000
EPOCH: Final = 200_000  # as the driver plans a backlog
STEP_MS: Final = 5  # between events
DELAY_MS: Final = 600_000
HOUR_MS: Final = 3_600_000
GAP_MS: Final = 1_800_000
MEASURES: Final = ("count", "{sum: amount}", "{distinct: visitor}", "{quantiles: amount}", "{top: product_id}")
TYPES: Final = ["page_view"] * 7 + ["product_view"] * 6 + ["search"] * 2 + ["add_to_cart"] * 2 + [
    "checkout_start", "purchase", "payment",
]  # fmt: skip
FEW: Final = 10_000
MANY: Final = 1_000_000
TOUCHED: Final = 2_000


def events(rows: int = ROWS) -> pl.DataFrame:
    """Enriched events with their visitor, in order of time: 200 a second, 20,000 visitors, 5,000 products."""
    n = pl.int_range(rows, eager=True)
    mixed = (n * 2_654_435_761) % 2**32
    paying = pl.col("event_type").is_in(["purchase", "payment"])
    frame = pl.select(
        event_id=pl.format("e{}", n),
        event_type=pl.lit(pl.Series(TYPES)).gather(mixed // 7 % len(TYPES)),
        event_time=(BASE + n * STEP_MS).cast(FRAME_SCHEMA["event_time"]),
        source=pl.lit("s"), source_partition=pl.lit(0, pl.Int32), source_offset=n,
        visitor=pl.format("v{}", mixed // 3 % 20_000), product_id=pl.format("p{}", mixed // 11 % 5_000),
        category=pl.format("c{}.d{}", mixed // 11 % 40, mixed // 11 % 7),
        quantity=(mixed // 13 % 3 + 1), price=(mixed // 17 % 90_000).cast(pl.Decimal(18, 4)),
        amount=(mixed // 19 % 90_000).cast(pl.Decimal(18, 4)), currency=pl.lit("EUR"),
        geo_country=pl.lit(pl.Series(["DE", "FR", "US", "GB"])).gather(mixed // 3 % 4),
        campaign_channel=pl.lit(pl.Series(["direct", "organic", "paid"])).gather(mixed // 23 % 3),
        device_class=pl.lit(pl.Series(["mobile", "desktop"])).gather(mixed // 29 % 2),
    )  # fmt: skip
    frame = frame.with_columns(order_id=pl.when(paying).then(pl.format("o{}", pl.col("source_offset") // 40)))
    return frame.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in FRAME_SCHEMA.items() if name not in frame.columns
    )


class Job:
    """All that the job does between decoded columns and metric rows, in one thread, with state in files."""

    def __init__(self, streams: Streams, folder: str) -> None:
        """Nothing stepped yet."""
        self.streams = streams
        self.store = LocalStore(folder)
        self.worlds: dict[str, World] = {}
        self.past = [-1, -1]
        self.shown = 0

    def step(self, kernel: Kernel, rows: pl.DataFrame, lag: int) -> dict[str, pl.DataFrame]:
        """A step under the watermark of some epochs before."""
        world = self.worlds.setdefault(kernel.name, World(kernel, self.store))
        world.step(rows, self.past[-1 - lag])
        return {name: pl.concat(frames) for name, frames in world.outputs.items()}

    def epoch(self, rows: pl.DataFrame, watermark: int) -> None:
        """One epoch."""
        streams = self.streams
        self.past.append(watermark)
        late_rows(rows, Clock(1, self.past[-3], 0), streams.plan)
        slices = [to_slices(rows, streams.events), to_slices(rows, streams.visitors)]
        if streams.follow:
            marks = self.step(streams.follow, condensed(rows, streams.follow.gap), 1)["marks"]
            slices.append(to_slices(as_events(marks, streams.marks), streams.visits))
        if streams.payments:
            matched = self.step(streams.payments, order_events(rows, streams.payments.inputs), 0)["matched"]
            slices.append(to_slices(settled(matched), streams.settlements))
        made = pl.concat(slices)
        if streams.admit:
            specs = streams.plan.specs
            admitted = self.step(streams.admit, bounded(made, specs), 0)["slices"]
            made = pl.concat([admitted, unbounded(made, specs)])
        self.shown += self.step(streams.combine, made, 2)["metrics"].height


def speed(plan: Plan, rows: pl.DataFrame) -> tuple[float, int]:
    """CPU seconds for all rows, and metric rows shown."""
    streams = streams_of(plan, rows.schema, session_gap=GAP_MS, max_series=10_000)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(streams, folder)

        def body() -> None:
            for start in range(0, rows.height, EPOCH):
                job.epoch(rows[start : start + EPOCH], BASE + start * STEP_MS - DELAY_MS)

        return cpu_of(body), job.shown


def one(measure: str, window: str, schema: pl.Schema) -> Plan:
    """A plan of one metric."""
    return bind(parse_metrics(f"metrics: {{m: {{measure: {measure}, windows: [{window}]}}}}"), schema)


def series(size: int) -> float:
    """CPU milliseconds of an epoch that touches a few of so many series, state in files; the last of several."""
    schema = pl.Schema({**FRAME_SCHEMA, "visitor": pl.String()})
    yaml = "metrics: {m: {measure: count, windows: [tumbling 1h], dimensions: {p: product_id}, fill: 0}}"
    plan = bind(parse_metrics(yaml), schema)
    start = BASE // 3_600_000 * 3_600_000

    def rows(first: int, count: int, stride: int, at: int) -> pl.DataFrame:
        ids = (pl.int_range(count, eager=True) * stride + first) % size
        frame = pl.select(
            event_type=pl.lit("page_view"), event_time=pl.lit(at).cast(FRAME_SCHEMA["event_time"]),
            product_id=pl.format("p{}", ids),
        )  # fmt: skip
        return frame.with_columns(pl.lit(None, d).alias(n) for n, d in schema.items() if n not in frame.columns)

    with tempfile.TemporaryDirectory() as folder:
        world = World(CombineSlices.of(plan), LocalStore(folder))
        for first in range(0, size, EPOCH):
            world.step(to_slices(rows(first, min(EPOCH, size), 1, start), plan), -1)
        costs = []
        for number in range(12):
            slices = to_slices(rows(number, TOUCHED, 499, start + number), plan)
            costs.append(world.step(slices, start + number))
        return 1000 * statistics.median(costs[4:])


def job(shop: Path, out: Path) -> Cost:
    """One run of the job into a fresh directory."""
    with tempfile.TemporaryDirectory(dir=out) as fresh:
        where = [f"--lake={fresh}/lake", f"--checkpoint={fresh}/c", "--warehouse=none", "--drain", "--progress=none"]
        source = [f"--source={shop / 'events'}", f"--enrich={shop / 'enrich.yaml'}"]
        return process(["-m", "pipelines.realtime_metrics", *source, *where], out)


def run() -> None:
    """Measure and print."""
    rows = events()
    standard = bind(standard_metrics(), rows.schema)
    speed(standard, rows[: EPOCH * 2])  # warm
    seconds, shown = speed(standard, rows)
    print(f"standard set from decoded columns: {ROWS / seconds:,.0f} events per CPU-s, {shown:,} rows\n")
    compared = []
    for measure in MEASURES:
        (plain, _), (long, _) = (speed(one(measure, w, rows.schema), rows) for w in ("tumbling 1m", "sliding 60m/1m"))
        compared.append((measure, f"{plain:.2f}", f"{long:.2f}", f"{long / plain:.2f}x"))
    table(("measure, CPU s per million events", "tumbling 1m", "sliding 60m/1m", "ratio"), compared)
    few, many = series(FEW), series(MANY)
    print(f"\nepoch of {TOUCHED:,} series: {few:.0f} ms of {FEW:,}, {many:.0f} ms of {MANY:,} ({many / few:.1f}x)")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (tiny, least), (large, most) = (make_shop(out, size, HOUR_MS) for size in (1_000, 300_000))
        start, cost = median(lambda: job(tiny, out), 3), median(lambda: job(large, out), 3)
        per_second = (most - least) / (cost.cpu - start.cpu)
        print(
            f"whole job from JSON, 83 events a second: {per_second:,.0f} events per CPU-s, peak {cost.peak_mb:.0f} MB"
        )


if __name__ == "__main__":
    run()
