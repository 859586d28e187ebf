"""event_enrichment from JSON lines to Delta, as a whole process, beside a per-element Beam pipeline."""

import tempfile
from pathlib import Path
from typing import Final

import yaml

from benchmarks.measure import Cost, median, process, table
from ecompulse.simulator.settings import DAY_MS, Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write

EVENTS: Final = 300_000
FEW: Final = 60_000
GEO: Final = Path(__file__).parents[2] / "shared" / "data" / "geo" / "dbip-country.mmdb"


def job(shop: Path, out: Path, *flags: str) -> Cost:
    """One run of the job into a fresh directory."""
    with tempfile.TemporaryDirectory(dir=out) as fresh:
        where = [f"--lake={fresh}/lake", f"--checkpoint={fresh}/c", "--warehouse=none", "--drain", "--progress=none"]
        source = [f"--source={shop / 'events'}", f"--enrich={shop / 'enrich.yaml'}"]
        return process(["-m", "pipelines.event_enrichment", *source, *where, *flags], out)


def make_shop(out: Path, events: int, duration_ms: int = DAY_MS) -> tuple[Path, int]:
    """A simulated shop with all its look-ups configured; its folder and number of lines."""
    shop = out / f"shop-{events}"
    truth = write(simulate(Settings(seed=1, events=events, duration_ms=duration_ms)), shop)
    steps = {
        "user": {"lookup": f"parquet:{shop / 'users.parquet'}?key=user_id"},
        "product": {"lookup": f"parquet:{shop / 'products.parquet'}?key=product_id"},
        "currency": {"base": "EUR", "rates": str(shop / "rates.csv")},
        **({"geo": {"database": str(GEO)}} if GEO.exists() else {}),
    }
    (shop / "enrich.yaml").write_text(yaml.safe_dump({"steps": steps}))
    return shop, truth.rows


def run() -> None:
    """Measure and print; the cost of starting up is that of a run over a thousand events, and subtracted."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (tiny, few), (small, some), (large, many) = (make_shop(out, n) for n in (1_000, FEW, EVENTS))
        size = sum(path.stat().st_size for path in (large / "events").iterdir()) / many
        print(f"{many:,} lines of {size:.0f} B; geo {'on' if GEO.exists() else 'without a database'}\n")
        start = median(lambda: job(tiny, out))
        rows = []
        for name, flags in (("columns", []), ("with --dedup --match_payments", ["--dedup", "--match_payments"])):
            cost = median(lambda flags=flags: job(large, out, *flags))
            rows.append((name, many, cost, (many - few) / (cost.cpu - start.cpu)))
        elements = [str(small), *([str(GEO)] if GEO.exists() else [])]
        first = median(lambda: process(["-m", "benchmarks.per_element", str(tiny), *elements[1:]], _here(out)), 3)
        cost = median(lambda: process(["-m", "benchmarks.per_element", *elements], _here(out)), 3)
        rows.append(("per element", some, cost, (some - few) / (cost.cpu - first.cpu)))
        columns = rows[0][3]
        table(
            ("pipeline", "events", "CPU s", "peak MB", "events per CPU-s", "columns are"),
            [
                (
                    name,
                    f"{count:,}",
                    f"{cost.cpu:.1f}",
                    f"{cost.peak_mb:.0f}",
                    f"{speed:,.0f}",
                    f"{columns / speed:.1f}x",
                )
                for name, count, cost, speed in rows
            ],
        )
        ten = job(make_shop(out, EVENTS // 10)[0], out)
        whole = rows[0][2]
        print(f"\npeak memory, ten times the input: {whole.peak_mb / ten.peak_mb:.2f}x ({ten.peak_mb:.0f} MB before)")
        print(f"whole process, start-up included: {many / whole.cpu:,.0f} events per CPU-s")


def _here(_out: Path) -> Path:
    return Path(__file__).parents[1]
