"""`ecompulse status`: all jobs at a glance, from their checkpoints. It reads, and changes nothing."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ecompulse.cli.guard import guarded
from ecompulse.cli.printing import WIDTH
from ecompulse.cli.stores import add_checkpoints, add_key, add_s3_endpoint, open_checkpoints
from ecompulse.cli.tool import ToolParser
from ecompulse.cli.values import lasting
from ecompulse.epochs.errors import UserError
from ecompulse.io.terminal import printable
from ecompulse.ui.checkpoints import read_job
from ecompulse.ui.clock import now_ms
from ecompulse.ui.jobs import Job
from ecompulse.ui.words import duration, size

EPOCHS: Final = 5
"""Last epochs of each job that are shown."""

_COLOURS: Final = {"running": "green", "stopped": "yellow", "never ran": "dim", "unreadable": "red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("status", lambda: status(sys.argv[1:] if argv is None else argv))


def status(argv: Sequence[str]) -> int:
    """Print the state of all checkpoints; 1 when one cannot be read, or has been silent for longer than it may."""
    options = _parser().parse_args(argv)
    now = now_ms()
    stores = open_checkpoints(options.checkpoints, options.s3_endpoint, options.checkpoint_key)
    if not stores:
        raise UserError(f"{options.checkpoints[0]}: holds no checkpoint")
    jobs = [read_job(number, store, held, now) for number, (store, held) in enumerate(stores)]
    if options.json:
        for job in jobs:
            print(json.dumps(told(job, now, options.epochs)))
    else:
        _show(jobs, now, options.epochs)
    return int(any(_is_bad(job, now, options.max_age) for job in jobs))


def _parser() -> ToolParser:
    parser = ToolParser(prog="python -m pipelines.status", description="All jobs at a glance. It changes nothing.")
    add_checkpoints(parser)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"last epochs of each job that are shown [{EPOCHS}]")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each checkpoint [off]")
    parser.add_argument(
        "--max_age", type=lasting, metavar="DURATION", help="exit with 1 if a job's last commit is older [any age]"
    )
    add_s3_endpoint(parser)
    add_key(parser)
    return parser


def _is_bad(job: Job, now: int, limit: int | None) -> bool:
    if job.state == "unreadable":
        return True
    return limit is not None and (job.committed is None or now - job.committed > limit)


def told(job: Job, now: int, epochs: int) -> Mapping[str, Any]:
    """A job as JSON: times in ms, `null` for what is not known."""
    return {
        "checkpoint": job.place,
        "job": job.name,
        "instance": job.instance,
        "state": job.state,
        "error": job.error or None,
        "epoch": job.last.get("batchId"),
        "pending": job.pending,
        "committed_ms_ago": None if job.committed is None else now - job.committed,
        "watermark": job.last.get("eventTime", {}).get("watermark"),
        "watermark_gap_ms": job.gap(now),
        "backlog": job.backlog,
        "sources": list(job.sources),
        "offsets_behind": {f"{lag.source} {lag.partition}": lag.lag for lag in job.lags},
        "state_bytes": sum(each.bytes for each in job.operators),
        "breakers": job.breakers,
        "failure": None if job.failure is None else asdict(job.failure),
        "disks": job.disks,
        "dead_letters": job.dead,
        "epochs": [_epoch(epoch) for epoch in list(job.epochs)[-epochs:][::-1]] if epochs > 0 else [],
    }


def _epoch(epoch: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "epoch": epoch["batchId"],
        "rows": epoch["numInputRows"],
        "rows_out": epoch["sink"]["numOutputRows"],
        "ms": epoch["durationMs"]["total"],
        "rows_per_second": epoch["processedRowsPerSecond"],
        "dead_letters": epoch["sink"]["tables"].get("dead_letters", 0),
        "watermark": epoch["eventTime"]["watermark"],
    }


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """As without Rich, which would end with the status of a bad job."""
        raise BrokenPipeError


def _show(jobs: Sequence[Job], now: int, epochs: int) -> None:
    console = _Console(width=shutil.get_terminal_size((WIDTH, 24)).columns)
    table = Table("job", "state", "epoch", "committed", "watermark", "waits", "holds", "dead", title="Jobs")
    for job in jobs:
        colour = _COLOURS[job.state]
        table.add_row(*map(_text, (job.title,)), f"[{colour}]{job.state}[/]", *map(_text, (
            job.last.get("batchId", "none"), _ago(job.committed, now), _ago(job.watermark, now), f"{job.backlog:,}",
            size(sum(each.bytes for each in job.operators)), f"{job.dead:,}",
        )))  # fmt: skip
    console.print(table)
    sources = [(job, source) for job in jobs for source in job.sources]
    if sources:
        console.print(_sources(sources))
    for job in jobs:
        if job.error:
            console.print(f"[red]{_text(job.title)}: {_text(job.error)}[/]")
        for lag in job.lags[:EPOCHS]:
            console.print(
                f"{_text(job.title)}: {lag.lag:,} offsets behind in {_text(lag.source)} {_text(lag.partition)}"
            )
        for note in job.notes:
            console.print(f"[{'red' if job.failure else 'yellow'}]{_text(job.title)}: {_text(note)}[/]")
    last = [(job, epoch) for job in jobs for epoch in list(job.epochs)[-epochs:][::-1]] if epochs > 0 else []
    if last:
        console.print(_epochs(last))


def _sources(sources: Sequence[tuple[Job, str]]) -> Table:
    table = Table("job", "source", "offsets behind", title="Sources")
    for job, uri in sources:
        lags = [lag.lag for lag in job.lags if lag.source == uri]
        table.add_row(*map(_text, (job.title, uri, f"{sum(lags):,}" if lags else "")))
    return table


def _epochs(last: Sequence[tuple[Job, Mapping[str, Any]]]) -> Table:
    table = Table("job", "epoch", "rows in", "rows out", "took", "rows/s", "watermark", title="Last epochs")
    for job, epoch in last:
        table.add_row(*map(_text, (
            job.title, epoch["batchId"], f"{epoch['numInputRows']:,}", f"{epoch['sink']['numOutputRows']:,}",
            duration(epoch["durationMs"]["total"]), f"{epoch['processedRowsPerSecond']:,.0f}",
            epoch["eventTime"]["watermark"] or "unknown",
        )))  # fmt: skip
    return table


def _ago(moment: int | None, now: int) -> str:
    return "unknown" if moment is None else f"{duration(now - moment)} ago"


def _text(value: Any) -> str:
    """For the terminal: nothing of it is obeyed, by the terminal or by Rich."""
    return escape(printable(str(value)))
