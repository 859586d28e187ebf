"""`python -m pipelines.audit CHECKPOINT`: was anything lost? Compares a checkpoint with its sinks, row by row."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ecompulse.cli.guard import guarded
from ecompulse.cli.holders import open_holders, unknown_sinks
from ecompulse.cli.stores import add_key, add_s3_endpoint, checkpoint_store
from ecompulse.cli.tool import ToolParser, print_facts, print_table
from ecompulse.cli.values import web_address
from ecompulse.epochs.checkpoint import last_commit, positions_after, read_meta
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.reconcile import HOLDINGS_SCHEMA, Comparison, Span, compare_all, compare_standing
from ecompulse.epochs.seal import epoch_of, load_seal, seal_name, sealed
from ecompulse.epochs.sinks import Holder, Owner
from ecompulse.epochs.totals import Totals
from ecompulse.io.files.quarantine import set_aside
from ecompulse.io.s3 import StoreError
from ecompulse.io.terminal import say

_COMPARED: Final = ("table", "sink", "sealed", "there")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("audit", lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: Sequence[str]) -> int:
    parser = ToolParser(
        prog="python -m pipelines.audit",
        description="Was anything lost? Compares what a checkpoint has read and sealed with what its sinks hold.",
        epilog="Exit status 1 when anything differs.",
    )
    parser.add_argument("checkpoint", help="directory or s3:// place of the checkpoint")
    parser.add_argument("--brief", action="store_true", help="what differs, and one line of the whole")
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="json: all of it as one object [table]"
    )
    parser.add_argument("--from", dest="first", type=int, metavar="EPOCH", help="first epoch to compare [the first]")
    parser.add_argument("--to", dest="last", type=int, metavar="EPOCH", help="last epoch to compare [the last commit]")
    parser.add_argument("--lake", metavar="PLACE", help="another lake, or none [those it wrote to]")
    parser.add_argument("--warehouse", metavar="URL", help="with its password, or none [the one it wrote to]")
    parser.add_argument("--sink", action="append", metavar="URI", help="kafka://HOST:PORT or jsonl:DIRECTORY, or none")
    parser.add_argument("--topic_prefix", default="", help="start of the names of topics, with --sink=kafka://")
    parser.add_argument("--route", action="append", default=[], help="event_type:topic, as the job has it")
    parser.add_argument("--kafka_config", metavar="FILE", help="YAML of Kafka's client settings")
    parser.add_argument(
        "--schema_registry", type=web_address, metavar="URL", help="of topics written with --sink_format [none]"
    )
    add_s3_endpoint(parser)
    add_key(parser)
    options = parser.parse_args(argv)
    try:
        return audit(options)
    except StoreError as error:
        raise JobError(str(error)) from None


@dataclass(frozen=True)
class Books:
    """What a checkpoint says of a span of epochs.

    Attributes:
        totals: of the span.
        by_epoch: rows by table and epoch, of the epochs whose seals are still there.
        upserted: tables that a warehouse should hold.
    """

    owner: Owner
    span: Span
    sources: Sequence[str]
    totals: Totals
    by_epoch: Mapping[str, Mapping[int, int]]
    upserted: Sequence[str]


def audit(options: argparse.Namespace) -> int:
    """Print the books and how each sink compares; returns the exit status."""
    store = checkpoint_store(options)
    books, holders = read_books(store, options.first, options.last), list(open_holders(store, options))
    differences, rows = list(_unbalanced(books)), []
    shows = not options.brief and options.format == "table"
    if shows:
        _show_books(store, books)
    for table in sorted({*books.totals.tables, *(table for holder in holders for table in holder.tables())}):
        for place, compared in _compare(table, holders, books):
            if compared.expected or compared.found or compared.remarks:
                rows.append((table, place, compared.expected, compared.found))
                differences += [f"{table} in {place}: {remark}" for remark in compared.remarks]
    if options.format == "json":
        print(json.dumps(_told(books, rows, differences)))
        return 1 if differences else 0
    if rows and shows:
        print_table(pl.DataFrame(rows, schema=list(_COMPARED), orient="row"), rows=1000)
    for name in unknown_sinks(store):
        say(f"{name}: a sink of another module; what it holds was not compared", sys.stdout)
    for line in differences:
        say(f"DIFFERS  {line}", sys.stdout)
    tables = len({table for table, *_ in rows})
    where = (
        f"in {_counted(tables, 'table')} of {_counted(len(holders), 'sink')}" if holders else "but no sink was compared"
    )
    whole = f"{sum(books.totals.read.values()):,} rows read, every one is accounted for, {where}"
    say(f"{books.owner.name}: {_counted(len(differences), 'difference') if differences else whole}", sys.stdout)
    return 1 if differences else 0


def _told(books: Books, rows: Sequence[tuple[str, str, int, int]], differences: Sequence[str]) -> Mapping[str, Any]:
    """The audit for a program."""
    return {
        "job": books.owner.name,
        "instance": books.owner.instance,
        "epochs": [books.span.first, books.span.last],
        "rows_read": sum(books.totals.read.values()),
        "accounts": books.totals.accounts,
        "tables": [dict(zip(_COMPARED, row, strict=True)) for row in rows],
        "differences": list(differences),
    }


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def read_books(store: Store, first: int | None, last: int | None) -> Books:
    """What the checkpoint says of epochs `first` to `last`; UserError for epochs that it does not have any more."""
    meta, newest = read_meta(store), last_commit(store)
    last = newest if last is None else last
    if first is not None and not 1 <= first <= last:
        raise UserError(f"--from: {first}: give an epoch from 1 to {last}, the last that is compared")
    kept = [epoch for epoch in map(epoch_of, store.list("seals")) if epoch <= newest]
    if not newest:
        raise UserError(f"CHECKPOINT: {store.root}: no epoch is committed yet")
    if last not in kept:
        raise UserError(f"--to: epoch {last} is not committed, or no longer kept; there are {kept[0]} to {kept[-1]}")
    seal = sealed(store, last)
    until = Totals(**seal.totals)
    first = until.since + 1 if first is None else first
    if first > until.since + 1 and first - 1 not in kept:
        raise UserError(f"--from: epoch {first - 1} is no longer kept; begin after one of {kept[0]} to {kept[-1]}")
    span = Span(max(first, until.since + 1), last)
    totals = until.minus(Totals(**sealed(store, span.first - 1).totals)) if span.first > until.since + 1 else until
    settings = meta["settings"]
    owner = Owner(settings["job"], meta["id"], settings.get("instance"), tuple(meta.get("succeeds", ())))
    by_epoch = _by_epoch(store, [epoch for epoch in kept if span.first <= epoch <= last])
    return Books(owner, span, settings.get("sources", []), totals, by_epoch, seal.upserted)


def _by_epoch(store: Store, epochs: Sequence[int]) -> dict[str, dict[int, int]]:
    """Rows by table; an epoch that has none of a table counts 0."""
    seals = {epoch: seal for epoch in epochs if (seal := load_seal(store, epoch)) is not None}
    names = {table for seal in seals.values() for table in seal.files}
    return {
        table: {epoch: sum(file["rows"] for file in seal.files.get(table, [])) for epoch, seal in seals.items()}
        for table in names
    }


def _show_books(store: Store, books: Books) -> None:
    """Print what was read, and where it is."""
    totals, span = books.totals, books.span
    read, placed = sum(totals.read.values()), sum(totals.accounts.values())
    facts: list[tuple[str, str]] = [
        ("checkpoint", f"{store.root}, epochs {span.first} to {span.last}"),
        ("job", books.owner.name),
        ("rows read", f"{read:,}"),
    ]
    for name, rows in sorted(totals.read.items()):
        source, _, partition = name.partition("/")
        uri = books.sources[int(source)] if int(source) < len(books.sources) else "dead letters given back"
        facts.append((f"  {uri}", f"{rows:,} in partition {partition}"))
    if totals.accounts:
        facts.append(("they are", f"{placed:,}"))
        facts += [
            (f"  {name}", f"{rows:,}") for name, rows in sorted(totals.accounts.items(), key=lambda item: -item[1])
        ]
    known = positions_after(store, span.last) if seal_name(span.last) in store.list("seals") else []
    bad = {path: why for positions in known for path, why in set_aside(positions).items()}
    facts += [(f"  {path}", f"set aside until it changes: {why}") for path, why in sorted(bad.items())]
    print_facts(facts)
    print()


def _unbalanced(books: Books) -> Iterator[str]:
    """What does not add up in the checkpoint itself."""
    totals = books.totals
    read, placed = sum(totals.read.values()), sum(totals.accounts.values())
    if totals.accounts and read != placed:
        yield f"{read:,} rows were read, {placed:,} are accounted for"
    for name, rows in totals.accounts.items():  # those that are tables
        if name in totals.tables and rows != totals.tables[name]:
            yield f"{name}: {rows:,} rows came to be written, {totals.tables[name]:,} were"


def _compare(table: str, holders: Sequence[Holder], books: Books) -> Iterator[tuple[str, Comparison]]:
    """How a table compares, by sink that has it or should."""
    expected, by_epoch = books.totals.tables.get(table, 0), books.by_epoch.get(table, {})
    reference = None  # of sinks that keep one row per id
    for holder in sorted(holders, key=lambda holder: not holder.keeps_all):
        try:
            rows = holder.holdings(table, books.owner)
        except JobError as error:
            yield holder.name, Comparison(expected, 0, (str(error),))
            continue
        except OSError as error:
            yield holder.name, Comparison(expected, 0, (f"cannot be read: {str(error).splitlines()[0]}",))
            continue
        if holder.keeps_all:
            reference = rows if reference is None else reference
            yield holder.name, compare_all(_there(rows), expected, by_epoch, books.span)
        elif rows is None:
            if expected and table in books.upserted:
                yield holder.name, Comparison(expected, 0, ("the table is missing",))
        elif reference is not None:
            yield holder.name, compare_standing(rows, reference, books.span)
        elif rows["revision"].null_count() == rows.height:
            yield holder.name, compare_all(rows, expected, by_epoch, books.span)
        else:
            say(f"{table} in {holder.name}: not compared, since no sink here keeps its revisions", sys.stdout)


def _there(rows: pl.DataFrame | None) -> pl.DataFrame:
    return pl.DataFrame(schema=HOLDINGS_SCHEMA) if rows is None else rows
