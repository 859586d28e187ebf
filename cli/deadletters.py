"""`python -m pipelines.deadletters list|show|replay`: what became no event, why, and how it becomes one after all."""

import sys
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import polars as pl
from deltalake import DeltaTable

from ecompulse.cli.__main__ import JOBS
from ecompulse.cli.guard import guarded
from ecompulse.cli.limits import add_limit, limit_of
from ecompulse.cli.printing import FORMATS
from ecompulse.cli.settings import absolute
from ecompulse.cli.stores import add_key, add_s3_endpoint, checkpoint_store
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.checkpoint import last_commit, positions_after, read_meta
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.replay import due, ledger, queue
from ecompulse.io.dead_letters import TABLE, Chosen, choose, own_letters
from ecompulse.io.delta.lake import Lake
from ecompulse.io.terminal import say
from ecompulse.kernels.config import nearest
from ecompulse.kernels.decode import Rule

_ROWS: Final = {"list": None, "show": 20, "replay": None}
"""At the most, by the verb, where no other number is given."""

_SHOWN = ("seen_at", "job", "rule", "message", "source", "source_partition", "source_offset", "raw")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("deadletters", lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    limit = limit_of(options, _ROWS[options.verb])
    if options.verb == "replay":
        _replay(options)
        return 0
    rows = chosen_rows(Lake(absolute(options.lake).rstrip("/"), options.s3_endpoint).table(TABLE), options)
    if options.verb == "list":
        limit.show("deadletters", summary(rows), options.format)
    else:
        limit.show("deadletters", as_text(rows.reverse()[: limit.asked]), options.format)
    return 0


def _parser() -> ToolParser:
    parser = ToolParser(prog="python -m pipelines.deadletters", description="Look at dead letters, or replay them.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("list", "count them by job, rule, source and day"),
        ("show", "print them: raw row, rule, message, position; the newest first"),
        ("replay", "give them back to the job, which reads them with its next epoch; each once, however often asked"),
    ):
        sub = verbs.add_parser(verb, help=text, description=text)
        of_replay = verb == "replay"
        lake, default = (None, "the checkpoint's") if of_replay else ("./lake", "./lake")
        sub.add_argument("--lake", default=lake, help=f"directory or s3:// place of the Delta tables [{default}]")
        add_s3_endpoint(sub)
        sub.add_argument("--job", help="of this job only [all; replay: the checkpoint's]")
        sub.add_argument("--rule", help="of this rule only [all]")
        sub.add_argument("--source", help="from this file or topic only [all]")
        sub.add_argument("--day", help="seen on this UTC date only, such as 2026-03-01 [all]")
        add_limit(sub, _ROWS[verb])
        if not of_replay:
            sub.add_argument("--format", choices=FORMATS, default="table", help="[table]")
        if of_replay:
            sub.add_argument("--checkpoint", required=True, help="directory or s3:// place of the job's checkpoint")
            add_key(sub)
            sub.add_argument("--dry_run", action="store_true", help="only say what would be replayed [off]")
    return parser


def chosen_rows(table: DeltaTable, options: Any) -> pl.DataFrame:
    """The dead letters that a user asks for, oldest first, all their limit aside; UserError for what can be none."""
    rows = pl.DataFrame(table.to_pyarrow_table())
    for column, known in (("job", JOBS), ("rule", Rule)):
        wanted, there = getattr(options, column), {*known, *rows[column]}
        if wanted is not None and wanted not in there:
            raise UserError(f"--{column}: {wanted!r} is none{nearest(wanted, there)}")
    for column in ("job", "rule", "source"):
        wanted = getattr(options, column)
        if wanted is not None:
            rows = rows.filter(pl.col(column) == wanted)
    if options.day is not None:
        rows = rows.filter(pl.col("seen_at").dt.date() == _date(options.day))
    return rows.sort("seen_at", "source", "source_partition", "source_offset")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--day: {text!r} is no date such as 2026-03-01") from None


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Letters by job, rule, source and UTC day."""
    day = pl.col("seen_at").dt.date().alias("day")
    return rows.group_by("job", "rule", "source", day).agg(letters=pl.len()).sort("job", "rule", "source", "day")


def as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Letters as a person reads them; bytes that are no UTF-8 are escaped."""
    raw = [raw.decode(errors="backslashreplace") for raw in rows["raw"]]
    return rows.with_columns(raw=pl.Series(raw, dtype=pl.String)).select(_SHOWN)


def _replay(options: Any) -> None:
    store = checkpoint_store(options)
    settings = read_meta(store)["settings"]
    if options.job not in (None, settings["job"]):
        raise UserError(f"--job: {store.root} is a checkpoint of {settings['job']}")
    rows = chosen_rows(own_letters(store, options.lake and absolute(options.lake), options.s3_endpoint), options)
    last = last_commit(store)
    files = {name: mark for known in positions_after(store, last) for name, mark in known.items()} if last else {}
    chosen = choose(rows, settings, files)

    def fresh(replayed: pl.DataFrame) -> pl.DataFrame:
        letters = due(chosen.letters, replayed)
        return letters if options.limit is None else letters.head(options.limit)

    count = fresh(ledger(store)).height if options.dry_run else queue(store, fresh)
    _say(chosen, count, store.root, dry=options.dry_run)


def _say(chosen: Chosen, count: int, root: str, *, dry: bool) -> None:
    before = (
        due(
            chosen.letters, chosen.letters.clear().select("source", "source_partition", "source_offset", "seen_at")
        ).height
        - count
    )
    say(f"{count:,} dead letters {'would be' if dry else 'are'} queued in {root}/replay", sys.stdout)
    for number, why in (
        (before, "were queued before, or are above --limit"),
        (chosen.protected, "hold what the privacy policy hid: read them again where they came from"),
        (chosen.updates, "are rows of an update stream: put corrected rows into a new file of it"),
        (
            chosen.cut,
            "are too large for a row, and only their first bytes were kept: read them again where they came from",
        ),
        (chosen.files, "are files that could not be read, which are read by themselves when they change"),
        (chosen.payloads, "are messages that are none of their schema: send them again"),
        (chosen.headless, "are rows of CSV files that are gone, and their headers with them"),
    ):
        if number:
            say(f"{number:,} {why}", sys.stdout)
    if count and not dry:
        print("run the job on this checkpoint, with what was mended: it reads them with its next epoch")
