"""`python -m pipelines.demo`: simulate a shop and run the jobs on it, in a fresh directory, without any server."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from ecompulse.cli.audit import main as audit
from ecompulse.cli.guard import guarded
from ecompulse.cli.live import live
from ecompulse.cli.show import tables_of
from ecompulse.cli.tool import ToolParser, print_facts, print_table
from ecompulse.cli.values import duration
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.simulator.episodes import CardTesting
from ecompulse.simulator.frauds import StolenCards
from ecompulse.simulator.settings import HOUR_MS, Settings, SettingsError
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import enrichment, write

MARK: Final = ".ecompulse-demo"
"""File that says that a directory was made by the demo and may be made anew."""


FRAUD: Final = (CardTesting(9 * HOUR_MS), StolenCards(14 * HOUR_MS), StolenCards(18 * HOUR_MS, takeover=True))
"""What befalls the shop of the demo."""

POLICY: Final = {"rules": {"velocity": {"device_count_1h": {"above": 10}}}}
"""What the demo's shop knows by itself: on its only day models have hardly anything to learn from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("demo", lambda: demo(sys.argv[1:] if argv is None else argv))


def demo(argv: Sequence[str]) -> int:
    """Simulate, run every job there is, show what happened and what to try next."""
    parser = ToolParser(prog="python -m pipelines.demo", description="Simulate a shop and run the jobs on it.")
    parser.add_argument("--out", default="./demo", help="directory, made anew [./demo]")
    parser.add_argument("--events", type=int, default=60_000, help="events to simulate, about [60000]")
    parser.add_argument("--seed", type=int, default=7, help="of the simulation [7]")
    parser.add_argument("--live", action="store_true", help="sell into Kafka as time passes, and follow it")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="with --live: brokers")
    parser.add_argument("--kafka_config", metavar="FILE", help="with --live: YAML of client settings")
    parser.add_argument("--rate", type=float, default=200, help="with --live: events a second [200]")
    parser.add_argument("--trigger", default="2s", help="with --live: time between epochs [2s]")
    parser.add_argument("--for", dest="length", metavar="DURATION", help="with --live: end after so long [at Ctrl-C]")
    options = parser.parse_args(argv)
    out = _fresh(Path(options.out))
    if options.live:
        return _live(options, out)
    print(f"demo: simulating {options.events:,} events of a day in a shop (a few seconds)", flush=True)
    try:
        truth = write(simulate(Settings(seed=options.seed, events=options.events, episodes=FRAUD)), out / "shop")
    except SettingsError as error:
        raise UserError(str(error)) from None
    (out / "enrich.yaml").write_text(yaml.safe_dump(enrichment(out / "shop")))
    (out / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    jobs = {name: _run(name, flags, out) for name, flags in job_flags(out).items()}
    return _tell(out, truth.rows, jobs)


def _live(options: argparse.Namespace, out: Path) -> int:
    if not options.kafka:
        raise UserError("--kafka: is required with --live: HOST:PORT of the brokers; `make demo-live` starts one")
    try:
        seconds = duration(options.length) / 1000 if options.length else None
    except ValueError as error:
        raise UserError(f"--for: {error}") from None
    return live(out, options.kafka, options.kafka_config, options.rate, options.seed, seconds, options.trigger)


def job_flags(out: Path) -> dict[str, list[str]]:
    """Flags of each job in the demo."""
    common = [f"--source={out / 'shop' / 'events'}", f"--enrich={out / 'enrich.yaml'}", f"--lake={out / 'lake'}"]
    common += [f"--warehouse=sqlite:///{out / 'warehouse.db'}"]
    return {
        "event_enrichment": [
            *common,
            f"--user_updates={out / 'shop' / 'user_updates.jsonl'}",
            "--dedup",
            "--match_payments",
            "--drain",
        ],
        "session_analytics": [*common, "--dedup", "--drain"],
        "realtime_metrics": [*common, "--dedup", "--drain"],
        "anomaly_detection": [
            *common,
            f"--labels={out / 'shop' / 'labels.jsonl'}",
            f"--policy={out / 'policy.yaml'}",
            "--dedup",
            "--drain",
        ],
    }


def _fresh(out: Path) -> Path:
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise UserError(f"--out: {out} is there already and was not made by the demo; choose another")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()
    return out.absolute()


def _run(job: str, flags: Sequence[str], out: Path) -> dict[str, Any]:
    """Run a job as a user would; what its progress adds up to."""
    command = [sys.executable, "-m", f"pipelines.{job}", *flags, f"--checkpoint={out / 'checkpoints' / job}"]
    print(f"demo: running {job} (about ten seconds)", flush=True)
    began = time.monotonic()
    done = subprocess.run([*command, "--progress=json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise JobError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{job} failed")
    epochs = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        "epochs": len(epochs),
        "seconds": time.monotonic() - began,
        "dead": sum(epoch["sink"]["tables"].get("dead_letters", 0) for epoch in epochs),
        "rows": sum(epoch["numInputRows"] for epoch in epochs),
    }


def _tell(out: Path, lines: int, jobs: dict[str, dict[str, Any]]) -> int:
    """Say what happened, whether every row is accounted for (exit status 1 if not), and what to try next."""
    print()
    print_facts([("simulated", f"{lines:,} lines in {out / 'shop' / 'events'}"), *_told(jobs)])
    print()
    print_table(tables_of(Lake(str(out / "lake"))))
    print("\nWas anything lost?")
    statuses = [audit([str(out / "checkpoints" / name), "--brief"]) for name in jobs]
    lake = f"--lake={out / 'lake'}"
    print("\nTry next:")
    columns = "event_type,user_country,product_title,price_base"
    for text in (
        f"python -m pipelines.show enriched_events {lake} --limit=5 --columns={columns}",
        f"python -m pipelines.show dead_letters {lake} --columns=rule,message",
        f"python -m pipelines.show data_quality {lake} --where=\"check_name = 'duplicate'\"",
        f"python -m pipelines.show funnels {lake} --where=\"segment = 'all' and scope = 'session'\"",
        f"python -m pipelines.show abandonment_alerts {lake} --columns=visitor,kind,status,value_base,abandoned_at",
        f"python -m pipelines.show metrics {lake} --where=\"metric = 'revenue' and final\"",
        f"python -m pipelines.show metric_alerts {lake} --columns=rule,state,severity,since,until,value",
        f"python -m pipelines.show flagged_transactions {lake} --columns=event_time,visitor,amount_base,score,reasons",
        f"python -m pipelines.audit {out / 'checkpoints' / 'session_analytics'}",
        f"python -m pipelines.checkpoint inspect {out / 'checkpoints' / 'event_enrichment'}",
    ):
        print(f"  .venv/bin/{text}")
    return max(statuses)


def _told(jobs: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (name, f"{job['rows']:,} rows in {job['epochs']} epochs, {job['dead']:,} dead letters, {job['seconds']:.1f} s")
        for name, job in jobs.items()
    ]
