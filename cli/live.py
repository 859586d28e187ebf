"""`demo --live`: a shop that sells into Kafka as time passes, and the jobs that follow it."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from ecompulse.cli.audit import main as audit
from ecompulse.cli.live_page import page_of
from ecompulse.cli.tool import a_command, print_facts
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import EVENTS
from ecompulse.io.kafka.address import parse_address
from ecompulse.io.kafka.settings import load_settings
from ecompulse.io.signals import stop_on_signals
from ecompulse.io.terminal import say
from ecompulse.simulator.produce import RealClock, produce
from ecompulse.simulator.settings import Settings, SettingsError
from ecompulse.simulator.store import enrichment, write_side

PREFIX: Final = "shop."
DELAY: Final = 10_000
"""Disorder of the live shop, ms: short, so that sessions and windows close while one looks on."""

JOBS: Final = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")

POLICY: Final = {"rules": {"velocity": {"device_count_1h": {"above": 10}}}}
"""What the shop of the demo knows by itself: on its only day models have hardly anything to learn from."""

_PATIENCE: Final = 90.0  # seconds that a job may take to end its epoch


@dataclass
class Follower:
    """A job that runs, and what its progress has said."""

    name: str
    command: list[str]
    process: "subprocess.Popen[str]"
    epochs: int = 0
    rows: int = 0
    lag: int = 0
    accounts: Counter[str] = field(default_factory=Counter)
    said: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.said = threading.Thread(target=self._listen, daemon=True)
        self.said.start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            progress = json.loads(line)
            self.add(progress)
            print(
                f"{self.name}: epoch {progress['batchId']}: {progress['numInputRows']:,} rows in "
                f"{progress['durationMs']['total']:,} ms, {self.lag:,} offsets behind",
                flush=True,
            )

    def add(self, progress: Mapping[str, Any]) -> None:
        """Take the progress of an epoch."""
        self.epochs, self.rows = self.epochs + 1, self.rows + events_of(progress)
        self.lag = lag_of(progress)
        self.accounts.update(progress["accounts"])

    def drain(self) -> None:
        """Once it has ended: read the rest, and close whatever is open; JobError with its last words when it fails."""
        bounded = [word for word in self.command if not word.startswith("--trigger=")]
        done = subprocess.run(
            [*bounded, "--trigger=available-now", "--drain"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            words = done.stderr.strip().splitlines()
            raise JobError(words[-1] if words else f"{self.name} failed while it was drained")
        for line in done.stdout.splitlines():
            self.add(json.loads(line))

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


def events_of(progress: Mapping[str, Any]) -> int:
    """Events that an epoch has read; updates and labels are no events."""
    return sum(source["numInputRows"] for source in progress["sources"] if source["role"] == EVENTS)


def live(
    out: Path, kafka: str, kafka_config: str | None, rate: float, seed: int, seconds: float | None, trigger: str
) -> int:
    """Run until Ctrl-C, or for so many seconds after every job has shown rows; returns the exit status."""
    with page_of(out):
        return _live(out, kafka, kafka_config, rate, seed, seconds, trigger)


def _live(
    out: Path, kafka: str, kafka_config: str | None, rate: float, seed: int, seconds: float | None, trigger: str
) -> int:
    from ecompulse.io.kafka.streams import TopicStreams

    servers = parse_address(f"kafka://{kafka}", "--kafka").servers
    streams = TopicStreams(servers, PREFIX, load_settings(kafka_config))
    stop, followers, timers = stop_on_signals(), list[Follower](), list[threading.Timer]()
    began, events = time.time_ns() // 1_000_000, 0

    def follow(shop: Any) -> None:
        write_side(shop, out / "shop")
        (out / "enrich.yaml").write_text(yaml.safe_dump(enrichment(out / "shop")))
        (out / "policy.yaml").write_text(yaml.safe_dump(POLICY))
        for job in JOBS:
            followers.append(_start(_command(job, out, servers, kafka_config, trigger, began), job, out))
        print(f"demo: {rate:g} events a second into kafka://{servers}/{PREFIX}events; Ctrl-C ends it", flush=True)

    def over() -> bool:
        # The time that is given counts from here on, since jobs take as long to start as the machine likes.
        if seconds is not None and not timers and followers and all(follower.rows for follower in followers):
            timers.append(threading.Timer(seconds, stop.set))
            timers[0].start()
        return stop.is_set() or any(follower.process.poll() is not None for follower in followers)

    try:
        settings = Settings(seed=seed, watermark_delay_ms=DELAY)
        events = produce(settings, rate, streams, RealClock(stop), stop=over, begin=follow).rows
    except SettingsError as error:
        raise UserError(f"--rate: {error}") from None
    finally:
        for timer in timers:
            timer.cancel()
        failed = [follower for follower in followers if follower.process.poll() is not None and not stop.is_set()]
        for follower in followers:
            follower.end()
    _check(failed, out)
    print("demo: the shop has closed; every job reads what is left, and closes what is open", flush=True)
    for follower in followers:
        follower.drain()
    return _tell(events, followers, out, servers)


def _command(job: str, out: Path, servers: str, kafka_config: str | None, trigger: str, began: int) -> list[str]:
    """How a job follows the shop: all that is sent from the beginning of the demo on, whatever stood there before."""
    own = {"anomaly_detection": [f"--labels=kafka://{servers}/{PREFIX}labels", f"--policy={out / 'policy.yaml'}"]}
    return [
        sys.executable, "-m", f"pipelines.{job}", f"--source=kafka://{servers}/{PREFIX}events",
        f"--enrich={out / 'enrich.yaml'}", f"--lake={out / 'lake'}", f"--warehouse=sqlite:///{out / 'warehouse.db'}",
        f"--sink=kafka://{servers}", f"--topic_prefix={PREFIX}{job}.", f"--checkpoint={out / 'checkpoints' / job}",
        f"--trigger={trigger}", f"--watermark_delay={DELAY}ms", "--dedup", "--progress=json", f"--start={began}",
        *own.get(job, []), *([f"--kafka_config={kafka_config}"] if kafka_config else []),
    ]  # fmt: skip


def _start(command: list[str], job: str, out: Path) -> Follower:
    log = (out / f"{job}.log").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    return Follower(job, command, process)


def _check(failed: Sequence[Follower], out: Path) -> None:
    """JobError with the last words of a job that has ended by itself."""
    for follower in failed:
        lines = (out / f"{follower.name}.log").read_text().strip().splitlines()
        raise JobError(lines[-1] if lines else f"{follower.name} ended by itself")


def _tell(events: int, followers: Sequence[Follower], out: Path, servers: str) -> int:
    """Say whether the numbers add up: what was sent was read, and every row is in one account; else exit status 1."""
    print()
    print_facts([("sent", f"{events:,} events"), *((job.name, _account(job, events)) for job in followers)])
    print("\nWas anything lost?")
    statuses = [audit([str(out / "checkpoints" / job.name), "--brief"]) for job in followers]
    short = [job.name for job in followers if job.rows != events]
    if short:
        say(f"demo: {', '.join(short)}: other numbers of events than were sent to kafka://{servers}/{PREFIX}events")
    lake = f"--lake={out / 'lake'}"
    print(f"\nIts tables: {a_command('show', lake)}")
    print(f"Its jobs:   {a_command('status', str(out / 'checkpoints'))}")
    warehouse = f"--warehouse=sqlite:///{out / 'warehouse.db'}"
    print(f"Its page:   {a_command('ui', str(out / 'checkpoints'), lake, warehouse)}")
    return max([*statuses, int(bool(short))])


def _account(job: Follower, events: int) -> str:
    """Where a job's rows are, and what is left."""
    parts = [f"{rows:,} {name}" for name, rows in job.accounts.most_common() if rows]
    left = events - job.rows
    behind = f"; {left:,} not read" if left else ""
    return f"{job.rows:,} events in {job.epochs} epochs: {', '.join(parts)}{behind}"
