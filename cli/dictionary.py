"""`python -m pipelines.dictionary`: what the tables and their columns mean, for people, dbt and DuckDB."""

import json
import sys
from collections.abc import Sequence

import polars as pl

from ecompulse.cli.guard import guarded
from ecompulse.cli.tool import ToolParser, print_table
from ecompulse.epochs.errors import UserError
from ecompulse.io.sinks.catalogue import Entry, dbt_sources, duckdb_views, entries_of
from ecompulse.kernels.config import nearest


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("dictionary", lambda: dictionary(sys.argv[1:] if argv is None else argv))


def dictionary(argv: Sequence[str]) -> int:
    """Print what is known of a table's columns, or of all."""
    parser = ToolParser(prog="python -m pipelines.dictionary", description="What the tables and their columns mean.")
    parser.add_argument("table", nargs="?", help="name of a table [all]")
    parser.add_argument(
        "--format",
        choices=("table", "json", "dbt", "duckdb"),
        default="table",
        help="dbt: sources.yml of the warehouse; duckdb: SQL of views on the lake, with <table>_latest [table]",
    )
    parser.add_argument("--lake", default="./lake", help="with --format=duckdb: place of the Delta tables [./lake]")
    options = parser.parse_args(argv)
    from ecompulse.cli.shipped import shared_of, shipped_tables

    shipped = shipped_tables()
    if options.table is not None and options.table not in shipped:
        raise UserError(f"{options.table}: no such table{nearest(options.table, list(shipped))}")
    chosen = {options.table: shipped[options.table]} if options.table else shipped
    specs = [each.spec for each in chosen.values()]
    if options.format == "dbt":
        print(dbt_sources(specs, shared_of(shipped)), end="")
    elif options.format == "duckdb":
        print(duckdb_views(specs, options.lake.rstrip("/")), end="")
    else:
        _print([entry for spec in specs for entry in entries_of(spec)], as_json=options.format == "json")
    return 0


def _print(entries: Sequence[Entry], *, as_json: bool) -> None:
    if as_json:
        for entry in entries:
            print(json.dumps(vars(entry)))
        return
    rows = [(entry.table, entry.column, entry.type, entry.unit, entry.meaning) for entry in entries]
    frame = pl.DataFrame(rows, schema=["table", "column", "type", "unit", "meaning"], orient="row")
    print_table(frame, rows=len(rows), longest=200)
