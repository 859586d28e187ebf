"""`demo --live`: a shop that sells into Kafka as time passes, and the jobs that follow it."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from ecompulse.cli.tool import print_facts
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kafka.address import parse_address
from ecompulse.io.kafka.settings import load_settings
from ecompulse.io.signals import stop_on_signals
from ecompulse.simulator.produce import RealClock, produce
from ecompulse.simulator.settings import Settings, SettingsError
from ecompulse.simulator.store import enrichment, write_side

PREFIX: Final = "shop."
DELAY: Final = 10_000
"""Disorder of the live shop, ms: short, so that sessions and windows close while one looks on."""

JOBS: Final = ("event_enrichment", "session_analytics", "realtime_metrics")

_PATIENCE: Final = 90.0  # seconds that a job may take to end its epoch


@dataclass
class Follower:
    """A job that runs, and what its progress has said."""

    name: str
    process: "subprocess.Popen[str]"
    epochs: int = 0
    rows: int = 0
    lag: int = 0
    said: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.said = threading.Thread(target=self._listen, daemon=True)
        self.said.start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            progress = json.loads(line)
            self.epochs, self.rows = self.epochs + 1, self.rows + progress["numInputRows"]
            self.lag = lag_of(progress)
            print(
                f"{self.name}: epoch {progress['batchId']}: {progress['numInputRows']:,} rows in "
                f"{progress['durationMs']['total']:,} ms, {self.lag:,} offsets behind",
                flush=True,
            )

    def end(self) -> None:
        """Ask it to end after the epoch in hand, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.said.join(timeout=5)


def lag_of(progress: Mapping[str, Any]) -> int:
    """Offsets that all topics of a job are behind."""
    return sum(sum(source.get("lag", {}).values()) for source in progress["sources"])


def live(
    out: Path, kafka: str, kafka_config: str | None, rate: float, seed: int, seconds: float | None, trigger: str
) -> int:
    """Run until Ctrl-C, or for so many seconds after every job has shown rows; returns the exit status."""
    from ecompulse.io.kafka.streams import TopicStreams

    servers = parse_address(f"kafka://{kafka}", "--kafka").servers
    streams = TopicStreams(servers, PREFIX, load_settings(kafka_config))
    stop, followers, timers = stop_on_signals(), list[Follower](), list[threading.Timer]()

    def follow(shop: Any) -> None:
        write_side(shop, out / "shop")
        (out / "enrich.yaml").write_text(yaml.safe_dump(enrichment(out / "shop")))
        followers.extend(_start(job, out, servers, kafka_config, trigger) for job in JOBS)
        print(f"demo: {rate:g} events a second into kafka://{servers}/{PREFIX}events; Ctrl-C ends it", flush=True)

    def over() -> bool:
        # The time that is given counts from here on, since jobs take as long to start as the machine likes.
        if seconds is not None and not timers and followers and all(follower.rows for follower in followers):
            timers.append(threading.Timer(seconds, stop.set))
            timers[0].start()
        return stop.is_set() or any(follower.process.poll() is not None for follower in followers)

    try:
        settings = Settings(seed=seed, watermark_delay_ms=DELAY)
        produce(settings, rate, streams, RealClock(stop), stop=over, begin=follow)
    except SettingsError as error:
        raise UserError(f"--rate: {error}") from None
    finally:
        for timer in timers:
            timer.cancel()
        failed = [follower for follower in followers if follower.process.poll() is not None and not stop.is_set()]
        for follower in followers:
            follower.end()
    return _tell(streams.sent, followers, failed, out)


def _start(job: str, out: Path, servers: str, kafka_config: str | None, trigger: str) -> Follower:
    command = [
        sys.executable, "-m", f"pipelines.{job}", f"--source=kafka://{servers}/{PREFIX}events",
        f"--enrich={out / 'enrich.yaml'}", f"--lake={out / 'lake'}", f"--warehouse=sqlite:///{out / 'warehouse.db'}",
        f"--sink=kafka://{servers}", f"--topic_prefix={PREFIX}{job}.", f"--checkpoint={out / 'checkpoints' / job}",
        f"--trigger={trigger}", f"--watermark_delay={DELAY}ms", "--dedup", "--progress=json", "--start=latest",
        *([f"--kafka_config={kafka_config}"] if kafka_config else []),
    ]  # fmt: skip
    log = (out / f"{job}.log").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    return Follower(job, process)


def _tell(sent: int, followers: list[Follower], failed: list[Follower], out: Path) -> int:
    for follower in failed:
        lines = (out / f"{follower.name}.log").read_text().strip().splitlines()
        raise JobError(lines[-1] if lines else f"{follower.name} ended by itself")
    facts = [("sent", f"{sent:,} lines")]
    facts += [
        (job.name, f"{job.rows:,} rows in {job.epochs} epochs, {job.lag:,} behind at its last") for job in followers
    ]
    print_facts(facts)
    print(f"\nIts tables: python -m pipelines.show --lake={out / 'lake'}")
    return 0
