"""session_analytics: the kernel from decoded columns, with its state in files, and the whole job from JSON lines."""

import tempfile
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.enrichment import make_shop
from benchmarks.measure import Cost, median, process, table
from benchmarks.state import BASE, World
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.abandonment import WatchCarts
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.funnels.track import TrackFunnels
from ecompulse.kernels.sessions.kernel import Sessionize, prepare

ROWS: Final = 500_000
VISITORS: Final = 50_000
EPOCHS: Final = 5
TYPES: Final = ("page_view", "product_view", "product_view", "product_view", "search", "add_to_cart", "purchase")
ALONE: Final = Sessionize()
WHOLE: Final = Sessionize(parts=(TrackFunnels(), WatchCarts()))


def events(heavy: float, heavy_visitors: int = 1, visitors: int = VISITORS) -> pl.DataFrame:
    """Events in order of time over an hour; a share of them is of few visitors."""
    n = pl.int_range(ROWS, eager=True)
    mixed = (n * 2_654_435_761) % 2**32
    visitor = pl.select(
        pl.when(mixed % 1000 < int(heavy * 1000)).then(mixed % heavy_visitors).otherwise(mixed % visitors)
    ).to_series()
    return pl.select(
        event_id=pl.format("e{}", n),
        event_type=pl.lit(pl.Series([TYPES[i] for i in range(len(TYPES))])).gather(mixed // 7 % len(TYPES)),
        event_time=(BASE + n * 7).cast(FRAME_SCHEMA["event_time"]),
        source=pl.lit("s"), source_partition=pl.lit(0, pl.Int32), source_offset=n,
        visitor=pl.format("v{}", visitor), product_id=pl.format("p{}", mixed // 11 % 500),
        url=pl.format("https://shop.example/{}", mixed // 13 % 200),
        price_base=pl.lit(9.99).cast(pl.Decimal(18, 4)),
    )  # fmt: skip


def speed(kernel: Sessionize, rows: pl.DataFrame) -> float:
    """Events per CPU-second over a few epochs, watermark a minute behind, state in files."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(kernel, LocalStore(folder))
        frame, size, seconds = prepare(rows, kernel), ROWS // EPOCHS, 0.0
        for number in range(EPOCHS):
            part = frame[number * size : (number + 1) * size]
            seconds += world.step(part, BASE + number * size * 7 - 60_000)
        return ROWS / seconds


def job(shop: Path, out: Path) -> Cost:
    """One run of the job into a fresh directory."""
    with tempfile.TemporaryDirectory(dir=out) as fresh:
        where = [f"--lake={fresh}/lake", f"--checkpoint={fresh}/c", "--warehouse=none", "--drain", "--progress=none"]
        source = [f"--source={shop / 'events'}", f"--enrich={shop / 'enrich.yaml'}"]
        return process(["-m", "pipelines.session_analytics", *source, *where], out)


def run() -> None:
    """Measure and print."""
    usual = events(0)
    speed(WHOLE, usual)  # warm
    rows = []
    for name, kernel in (("sessions", ALONE), ("sessions, funnels, carts", WHOLE)):
        plain, most, bot = (speed(kernel, frame) for frame in (usual, events(0.9), events(1.0)))
        rows.append((name, f"{plain:,.0f}", f"{most:,.0f} ({most / plain:.2f}x)", f"{bot:,.0f} ({bot / plain:.2f}x)"))
    table(("kernel and state", "50,000 visitors", "one has 90 %", "a bot has all"), rows)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (tiny, few), (large, many) = (make_shop(out, size) for size in (1_000, 300_000))
        start, cost = median(lambda: job(tiny, out), 3), median(lambda: job(large, out), 3)
        per_second = (many - few) / (cost.cpu - start.cpu)
        print(f"\nwhole job from JSON: {per_second:,.0f} events per CPU-s, peak {cost.peak_mb:.0f} MB")


if __name__ == "__main__":
    run()
