"""Events of 1 KB from Kafka: each client alone, the whole enrichment with each, and into Kafka too, in one run."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.enrichment import make_shop
from benchmarks.measure import Cost, median, process, table
from ecompulse.epochs.protocols import Split
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.kafka.source import KafkaSource, Reading
from ecompulse.io.kafka.streams import TopicStreams

EVENTS: Final = 200_000
FEW: Final = 1_000
SIZE: Final = 1024  # bytes of an event
TIMES: Final = 3
CLIENTS: Final = ("confluent", "python")
ROOT: Final = Path(__file__).parents[1]


def padded(lines: pl.Series) -> pl.Series:
    """Lines of JSON made SIZE bytes long by one more member; what is no object stays."""

    def pad(line: bytes) -> bytes:
        short = SIZE - len(line.rstrip()) - len(b',"padding":""')
        return line.rstrip()[:-1] + b',"padding":"' + b"x" * short + b'"}\n' if short > 0 and line[:1] == b"{" else line

    return pl.Series([pad(line) for line in lines.to_list()], dtype=pl.Binary)


def fill(bootstrap: str, shop: Path, prefix: str) -> None:
    """The shop's events, padded, into `<prefix>events`."""
    streams = TopicStreams(bootstrap, prefix, ClientSettings(), partitions=2)
    for path in sorted((shop / "events").iterdir()):
        lines = path.read_bytes().splitlines(keepends=True)
        streams.append("events", padded(pl.Series(lines, dtype=pl.Binary)))
    streams.close()


def read(client: str, bootstrap: str, topic: str) -> None:
    """Read a topic whole, as frames, and do nothing with them."""
    source = KafkaSource(f"kafka://{bootstrap}/{topic}", 0, Reading(client=client))
    reader = source.reader()
    for split in source.plan({}, 1 << 40, {}, whole=True).splits:
        for part in _pieces(split):
            for _ in reader.read(part):
                pass


def _pieces(split: Split, rows: int = 100_000) -> Iterator[Split]:
    """Ranges as an epoch's are, so that memory stays as it is there."""
    for start in range(split.start, split.end, rows):
        end = min(start + rows, split.end)
        yield Split(split.source, split.partition, split.uri, start, end, end - start)


def job(shop: Path, out: Path, source: str, *flags: str) -> Cost:
    """Run the enrichment over all there is, into a fresh lake."""
    with tempfile.TemporaryDirectory(dir=out) as fresh:
        where = [f"--lake={fresh}/lake", f"--checkpoint={fresh}/c", "--warehouse=none", "--progress=none"]
        where += [f"--topic_prefix={Path(fresh).name}."]  # topics of another checkpoint are refused
        given = [f"--source={source}", f"--enrich={shop / 'enrich.yaml'}", "--trigger=available-now", *where, *flags]
        return process(["-m", "pipelines.event_enrichment", *given], out)


def run() -> None:
    """Measure and print; the cost of starting up is that of a thousand events, and subtracted."""
    sys.path.append(str(ROOT / "tests"))
    from services import kafka  # noqa: PLC0415  # the broker that the tests start

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        server = kafka.start(out / "kafka")
        try:
            _measure(out, server.facts["bootstrap"])
        finally:
            server.stop()


def _measure(out: Path, bootstrap: str) -> None:
    (tiny, few), (large, many) = make_shop(out, FEW), make_shop(out, EVENTS)
    fill(bootstrap, tiny, "tiny.")
    fill(bootstrap, large, "large.")
    print(f"{many:,} events of {SIZE} B in two partitions\n")
    rows = []

    def compare(name: str, small: Callable[[], Cost], whole: Callable[[], Cost]) -> float:
        """Adds a row; returns us of CPU per event."""
        start, cost = median(small, TIMES), median(whole, TIMES)
        each = 1e6 * (cost.cpu - start.cpu) / (many - few)
        rows.append((name, f"{cost.cpu:.1f}", f"{cost.peak_mb:.0f}", f"{1e6 / each:,.0f}"))
        return each

    for client in CLIENTS:
        alone = ["-m", "benchmarks.kafka", client, bootstrap]
        compare(
            f"{client} alone, to frames",
            lambda alone=alone: process([*alone, "tiny.events"], ROOT),
            lambda alone=alone: process([*alone, "large.events"], ROOT),
        )

    def enriched(name: str, *flags: str) -> float:
        return compare(
            f"`event_enrichment` {name}",
            lambda: job(tiny, out, f"kafka://{bootstrap}/tiny.events", *flags),
            lambda: job(large, out, f"kafka://{bootstrap}/large.events", *flags),
        )

    written = []
    for client in CLIENTS:
        by = f"--kafka_client={client}"
        lake = enriched(f"by {client} into a lake", by)
        both = enriched(f"by {client} into a lake and into Kafka", by, f"--sink=kafka://{bootstrap}")
        written.append(f"{client} {both - lake:.1f} us")
    table(("what", "CPU s", "peak MB", "events per CPU-s"), rows)
    print(f"\na record written to Kafka: {', '.join(written)} of CPU here")


if __name__ == "__main__":
    read(*sys.argv[1:])
