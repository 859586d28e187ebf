"""`python -m pipelines.checkpoint inspect|verify|fork|reshard|restore`: look at a checkpoint, or make one from it."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import polars as pl

from ecompulse.cli.guard import guarded
from ecompulse.cli.places import check_apart, check_directory
from ecompulse.cli.settings import absolute
from ecompulse.cli.stores import add_key, add_s3_endpoint, checkpoint_store, key_place
from ecompulse.cli.tool import ToolParser, print_facts, print_table
from ecompulse.epochs.backup import restore
from ecompulse.epochs.checkpoint import last_commit, newest_fencing_token, read_meta, used_sinks
from ecompulse.epochs.checkpoint_admin import fork, reshard, verify
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.progress import iso
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.seal import load_seal, sealed
from ecompulse.io.encryption import encrypted
from ecompulse.io.s3 import StoreError
from ecompulse.io.stores import open_store
from ecompulse.io.terminal import say


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("checkpoint", lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: Sequence[str]) -> int:
    parser = ToolParser(prog="python -m pipelines.checkpoint", description="Look at a checkpoint, or make one from it.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("inspect", "show epoch, watermark, positions and keyed state, or what verify finds wrong"),
        ("verify", "read every file that the last commit needs and compare it with its seal"),
        ("fork", "start a new checkpoint from a committed epoch; it insists on other sinks"),
        ("reshard", "write a new checkpoint with another number of shards; it takes the old one's place"),
        ("restore", "bring a checkpoint back from its --checkpoint_backup to an empty place, and go on there"),
    ):
        sub = verbs.add_parser(verb, help=text, description=text)
        sub.add_argument("checkpoint", help="directory or s3:// place of the checkpoint, or of its backup")
        add_s3_endpoint(sub)
        add_key(sub)
        if verb in {"fork", "reshard", "restore"}:
            sub.add_argument(
                "--to_key",
                type=to_key,
                metavar="KEY",
                help="where the key of the new checkpoint stands, env:NAME or file:PATH, or none [as --checkpoint_key]",
            )
            sub.add_argument("--to", required=True, help="directory or s3:// place of the new checkpoint")
        if verb == "fork":
            sub.add_argument("--epoch", type=int, help="committed epoch to start from [the last]")
        if verb == "reshard":
            sub.add_argument("--num_shards", type=int, required=True, help="shards of the new checkpoint")
        if verb == "inspect":
            sub.add_argument("--shards", action="store_true", help="state per shard, not per operator")
            sub.add_argument(
                "--format", choices=("table", "json"), default="table", help="json: all of it as one object [table]"
            )
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except StoreError as error:
        raise UserError(str(error)) from None


def to_key(text: str) -> str:
    """Where a key stands, or `none`."""
    return text if text == "none" else key_place(text)


def _run(options: argparse.Namespace) -> int:
    store = checkpoint_store(options)
    read_meta(store)
    if options.verb == "inspect":
        return _inspect(store, by_shard=options.shards, as_json=options.format == "json")
    if options.verb == "verify":
        return _verify(store)
    return _derive(store, options)


def _inspect(store: Store, *, by_shard: bool, as_json: bool) -> int:
    meta, epoch = read_meta(store), last_commit(store)
    facts = [
        ("checkpoint", store.root),
        ("id", meta["id"]),
        *meta["settings"].items(),
        ("sinks", ", ".join(used_sinks(store)) or "none"),
        ("fencing token", newest_fencing_token(store)),
        ("committed epoch", epoch),
    ]
    wrong = list(verify(store))
    if wrong or not epoch:
        _print(facts, None, as_json=as_json)
        return _say(wrong)
    seal = sealed(store, epoch)
    pending = load_seal(store, epoch + 1)
    facts += [
        ("sealed, not committed", pending.epoch if pending else "none"),
        ("watermark", iso(seal.watermark) or "unknown"),
        (
            "event time seen",
            ", ".join(f"{name}: {iso(top)}" for name, (top, _) in sorted(seal.partitions.items())),
        ),
    ]
    _print(facts, _state_table(seal.state, by_shard=by_shard), as_json=as_json)
    return 0


def _print(facts: Sequence[tuple[str, Any]], state: pl.DataFrame | None, *, as_json: bool) -> None:
    if as_json:
        told = {name.replace(" ", "_").replace(",", ""): value for name, value in facts}
        print(json.dumps({**told, "state": state.to_dicts() if state is not None else []}, default=str))
        return
    print_facts(facts)
    if state is not None and state.height:
        print_table(state, rows=1000)


def _state_table(state: dict[str, dict[str, dict[str, object]]], *, by_shard: bool) -> pl.DataFrame:
    rows = [
        (operator, int(shard), table, run["rows"], run["bytes"])
        for operator, shards in state.items()
        for shard, head in shards.items()
        for table, runs in dict(head["tables"]).items()  # type: ignore[call-overload]  # JSON
        for run in runs
    ]
    schema = {
        "operator": pl.String,
        "shard": pl.Int64,
        "table": pl.String,
        "rows": pl.Int64,
        "bytes": pl.Int64,
    }
    keys = ["operator", "table", "shard"] if by_shard else ["operator", "table"]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.group_by(keys).agg(pl.col("rows", "bytes").sum(), files=pl.len()).sort(keys)


def _verify(store: Store) -> int:
    if _say(list(verify(store))):
        return 1
    say(f"checkpoint {store.root}: all files of epoch {last_commit(store)} are what was sealed", sys.stdout)
    return 0


def _say(wrong: Sequence[str]) -> int:
    """Print what is wrong, if anything is; the exit status."""
    for line in wrong:
        say(line, sys.stdout)
    return 1 if wrong else 0


def _derive(store: Store, options: object) -> int:
    values = vars(options)
    keys = values["checkpoint_key"] if values["to_key"] is None else [values["to_key"]]
    check_directory("to", absolute(values["to"]))
    check_apart("to", values["to"], values["checkpoint"])
    plain = open_store(absolute(values["to"]), values["s3_endpoint"])
    target = encrypted(plain, [key for key in keys if key != "none"], "to_key")
    if values["verb"] == "restore":
        last = restore(store, target)
        say(f"checkpoint {target.root} is at epoch {last}; run the job with --checkpoint={target.root}", sys.stdout)
        return 0
    if values["verb"] == "fork":
        identity = fork(store, target, values["epoch"])
    else:
        if values["num_shards"] < 1:
            raise UserError("--num_shards: must be above zero")
        identity = reshard(store, target, values["num_shards"])
    say(f"checkpoint {target.root} (id {identity}) goes on from {store.root}", sys.stdout)
    return 0
