"""`python -m pipelines.alerts`: what a job's outbox has told, what waits, and what nobody took."""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from ecompulse.cli.guard import guarded
from ecompulse.cli.limits import add_limit, limit_of
from ecompulse.cli.printing import FORMATS
from ecompulse.cli.stores import add_key, add_s3_endpoint, checkpoint_store
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.alerts.mailbox import LETTERS, LOG, PENDING

_VERBS: Final = {
    "log": "what was delivered, refused and tried, the last first",
    "pending": "what waits for its receiver",
    "letters": "what no receiver took, and why",
    "retry": "give the letters back to the outbox; the job's next start tells them again",
}
_ROWS: Final = 50
"""On a screen, where no other number is given."""

_SHOWN: Final = ("since", "to", "rule", "severity", "status", "tries", "said", "summary")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("alerts", lambda: alerts(sys.argv[1:] if argv is None else argv))


def alerts(argv: Sequence[str]) -> int:
    """Look into the outbox of a checkpoint."""
    parser = ToolParser(prog="python -m pipelines.alerts", description="Alerts of a job: told, waiting, refused.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, text in _VERBS.items():
        sub = verbs.add_parser(name, help=text, description=text)
        sub.add_argument("checkpoint", help="directory or s3:// place of the job's checkpoint")
        add_s3_endpoint(sub)
        add_key(sub)
        if name != "retry":
            add_limit(sub, _ROWS)
            sub.add_argument("--format", choices=FORMATS, default="auto", help="[auto]")
    options = parser.parse_args(argv)
    store = checkpoint_store(options)
    if not store.list("meta.json") and not _is_there(store):
        raise UserError(f"{options.checkpoint}: holds no checkpoint")
    if options.verb == "retry":
        return _retry(store)
    _print(options, _log(store) if options.verb == "log" else _entries(store, options.verb))
    return 0


def _is_there(store: Store) -> bool:
    try:
        store.get("meta.json")
    except FileNotFoundError:
        return False
    return True


def _log(store: Store) -> list[dict[str, Any]]:
    lines = [line for name in store.list(LOG) for line in store.get(name).splitlines()]
    return [json.loads(line) for line in reversed(lines)]


def _entries(store: Store, verb: str) -> list[dict[str, Any]]:
    found = [each for name in store.list(LETTERS if verb == "letters" else PENDING) for each in _read(store, name)]
    told = [{**each["alert"], **each} for each in found]
    return [{name: each[name] for name in _SHOWN} for each in told]


def _read(store: Store, name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(store.get(name))
    return loaded


def _retry(store: Store) -> int:
    """They wait from now on: those that have waited for `--alert_keep` would at once be letters again."""
    names = store.list(LETTERS)
    count = 0
    for name in names:
        entries = [{**each, "since": time.time_ns() // 1_000_000, "tries": 0} for each in _read(store, name)]
        count += len(entries)
        moved = f"{PENDING}/{name.rpartition('/')[2]}"
        store.put(moved, json.dumps(entries).encode())  # first there, then gone here: told twice, never lost
        store.delete([name])
    print(f"{count:,} alerts wait again; the job's next start tells them")
    return 0


def _print(options: Namespace, rows: Sequence[dict[str, Any]]) -> None:
    limit = limit_of(options, _ROWS)
    frame = pl.DataFrame(list(rows)[: limit.asked], infer_schema_length=None)
    if "since" in frame.columns:
        frame = frame.with_columns(pl.col("since").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"))
    if frame.is_empty():
        if options.format in {"auto", "table", "record"}:
            print("none")
        return
    limit.show("alerts", frame, options.format)
