"""`python -m pipelines.demo`: simulate a shop and run the jobs on it, in a fresh directory, without any server."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml

from ecompulse.cli.audit import main as audit
from ecompulse.cli.demo_report import write_report
from ecompulse.cli.guard import guarded
from ecompulse.cli.live import POLICY, live
from ecompulse.cli.show import tables_of
from ecompulse.cli.tool import ToolParser, a_command, print_facts, print_table
from ecompulse.cli.values import duration
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.simulator.episodes import CardTesting, CheckoutOutage
from ecompulse.simulator.frauds import StolenCards
from ecompulse.simulator.incidents import TrafficCollapse
from ecompulse.simulator.settings import HOUR_MS, Settings, SettingsError
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import enrichment, write

MINUTE_MS: Final = 60_000

MARK: Final = ".ecompulse-demo"
"""File that says that a directory was made by the demo and may be made anew."""


EPISODES: Final = (
    CardTesting(9 * HOUR_MS),
    CheckoutOutage(11 * HOUR_MS, length_ms=40 * MINUTE_MS),
    StolenCards(14 * HOUR_MS),
    TrafficCollapse(16 * HOUR_MS, length_ms=2 * HOUR_MS, share=1.0),
    StolenCards(18 * HOUR_MS, takeover=True),
)
"""What befalls the shop of the demo."""

STRAGGLERS: Final = 40
"""Views that a phone without a network sends the next morning: they are late for everything that is closed."""


_OF_ONE_WAY: Final = {
    "events": (False, 60_000), "kafka": (True, None), "kafka_config": (True, None), "rate": (True, 200.0),
    "trigger": (True, "2s"), "for": (True, None),
}  # fmt: skip
"""Flags that only a live demo has, or only one that is not; and their defaults."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("demo", lambda: demo(sys.argv[1:] if argv is None else argv))


def demo(argv: Sequence[str]) -> int:
    """Simulate, run every job there is, show what happened and what to try next."""
    parser = ToolParser(prog="python -m pipelines.demo", description="Simulate a shop and run the jobs on it.")
    parser.add_argument("--out", help="directory, made anew [./demo, with --live ./demo-live]")
    parser.add_argument("--events", type=int, help="without --live: events to simulate, about [60000]")
    parser.add_argument("--seed", type=int, default=7, help="of the simulation [7]")
    parser.add_argument("--live", action="store_true", help="sell into Kafka as time passes, and follow it")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="with --live: brokers")
    parser.add_argument("--kafka_config", metavar="FILE", help="with --live: YAML of client settings")
    parser.add_argument("--rate", type=float, help="with --live: events a second [200]")
    parser.add_argument("--trigger", help="with --live: time between epochs [2s]")
    parser.add_argument("--for", metavar="DURATION", help="with --live: end after so long [at Ctrl-C]")
    options = parser.parse_args(argv)
    for flag, (of_live, default) in _OF_ONE_WAY.items():
        if getattr(options, flag) is None:
            setattr(options, flag, default)
        elif of_live != options.live:
            raise UserError(f"--{flag}: says nothing {'without' if of_live else 'with'} --live")
    out = _fresh(Path(options.out or ("./demo-live" if options.live else "./demo")))
    if options.live:
        return _live(options, out)
    print(f"demo: simulating {options.events:,} events of a day in a shop (a few seconds)", flush=True)
    try:
        truth = write(simulate(Settings(seed=options.seed, events=options.events, episodes=EPISODES)), out / "shop")
    except SettingsError as error:
        raise UserError(str(error)) from None
    lines = truth.rows + write_stragglers(out / "shop" / "events")
    (out / "enrich.yaml").write_text(yaml.safe_dump(enrichment(out / "shop")))
    (out / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    jobs = {name: _run(name, flags, out) for name, flags in job_flags(out).items()}
    return _tell(out, lines, jobs)


def write_stragglers(events: Path) -> int:
    """Add a last file with views of the morning, under ids of their own; how many there are."""
    first, *_ = sorted(events.iterdir())
    lines = (line for line in first.read_text("utf-8", "replace").splitlines() if '"page_view"' in line)
    chosen = enumerate(islice(lines, STRAGGLERS))
    views = [{**json.loads(line), "event_id": f"straggler-{number}"} for number, line in chosen]
    (events / "events-stragglers.jsonl").write_text("".join(f"{json.dumps(view)}\n" for view in views))
    return len(views)


def _live(options: argparse.Namespace, out: Path) -> int:
    if not options.kafka:
        raise UserError("--kafka: is required with --live: HOST:PORT of the brokers; `make demo-live` starts one")
    length = getattr(options, "for")
    try:
        seconds = duration(length) / 1000 if length else None
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
        # An epoch per file: only a watermark that moves while rows come makes any of them late.
        "session_analytics": [*common, "--drain", "--max_files_per_epoch=1"],
        "realtime_metrics": [*common, "--drain", "--max_files_per_epoch=1"],
        "anomaly_detection": [
            *common,
            f"--labels={out / 'shop' / 'labels.jsonl'}",
            f"--policy={out / 'policy.yaml'}",
            "--drain",
        ],
    }


def _fresh(out: Path) -> Path:
    try:
        if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
            raise UserError(f"--out: {out} is there already and was not made by the demo; choose another")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / MARK).touch()
    except OSError as error:
        raise UserError(f"--out: {error.filename}: {error.strerror}") from None
    return out.absolute()


def _run(job: str, flags: Sequence[str], out: Path) -> dict[str, Any]:
    """Run a job as a user would; what its progress adds up to."""
    print(f"demo: running {job} (about ten seconds)", flush=True)
    began = time.monotonic()
    lines = run_job(job, [*flags, f"--checkpoint={out / 'checkpoints' / job}", "--progress=json"])
    epochs = [json.loads(line) for line in lines]
    return {
        "epochs": epochs,
        "seconds": time.monotonic() - began,
        "dead": sum(epoch["sink"]["tables"].get("dead_letters", 0) for epoch in epochs),
        "rows": sum(epoch["numInputRows"] for epoch in epochs),
    }


def run_job(job: str, flags: Sequence[str]) -> list[str]:
    """Lines that a job prints; JobError with its last words when it fails."""
    command = [sys.executable, "-m", f"pipelines.{job}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise JobError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{job} failed")
    return done.stdout.splitlines()


def _tell(out: Path, lines: int, jobs: dict[str, dict[str, Any]]) -> int:
    """Say what happened, whether every row is accounted for (exit status 1 if not), and what to try next."""
    print()
    print_facts([("simulated", f"{lines:,} lines in {out / 'shop' / 'events'}"), *_told(jobs)])
    print()
    print_table(tables_of(Lake(str(out / "lake"))))
    print("\nWas anything lost?")
    statuses = [audit([str(out / "checkpoints" / name), "--brief"]) for name in jobs]
    report = write_report(out, {name: job["epochs"] for name, job in jobs.items()}, lines)
    print(f"\nAll of it with plots, in one file: {report}")
    print("\nTry next:")
    for text in try_next(out):
        print(f"  {text}")
    return max(statuses)


def try_next(out: Path) -> list[str]:
    """Commands that show what the demo has made; each runs as it stands, in this folder, with this interpreter."""
    lake, checkpoints = f"--lake={out / 'lake'}", out / "checkpoints"
    asked = (
        ("show", "enriched_events", lake, "--limit=5", "--columns=event_type,geo_country,product_title,price_base"),
        ("show", "enriched_events", lake, "--limit=1", "--where=event_type = 'purchase'"),
        ("show", "enriched_events", lake, "--group=geo_country"),
        ("show", "dead_letters", lake, "--group=rule"),
        ("show", "data_quality", lake, "--limit=10", "--where=check_name = 'duplicate'"),
        ("show", "funnels_latest", lake, "--limit=20", "--where=segment = 'all' and scope = 'session'",
         "--columns=window_start,mode,stage,entered,conversion_rate", "--order=window_start, mode, stage_index"),
        ("show", "abandonment_alerts_latest", lake, "--limit=10",
         "--columns=visitor,kind,status,value_base,abandoned_at", "--order=value_base desc nulls last"),
        ("show", "metrics_latest", lake, "--limit=20", "--where=metric = 'revenue_by_country'",
         "--columns=window_start,dimensions,value",
         "--order=window_start"),
        ("show", "metric_alerts", lake, "--columns=rule,state,severity,since,until,value", "--order=since"),
        ("show", "flagged_transactions", lake, "--limit=3"),
        ("status", str(checkpoints)),
        ("audit", str(checkpoints / "session_analytics")),
        ("checkpoint", "inspect", str(checkpoints / "event_enrichment")),
    )  # fmt: skip
    return [a_command(*words) for words in asked]


def _told(jobs: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    def told(job: dict[str, Any]) -> str:
        rows = f"{job['rows']:,} rows in {len(job['epochs'])} epochs"
        return f"{rows}, {job['dead']:,} dead letters, {job['seconds']:.1f} s"

    return [(name, told(job)) for name, job in jobs.items()]
