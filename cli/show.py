"""`python -m pipelines.show TABLE`: read a table of the lake without knowing Delta."""

import sys
from collections.abc import Sequence

import duckdb
import polars as pl

from ecompulse.cli.guard import guarded
from ecompulse.cli.tool import ToolParser, print_table
from ecompulse.cli.values import web_address
from ecompulse.epochs.errors import UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.io.sinks.lines import csv, json_lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("show", lambda: show(sys.argv[1:] if argv is None else argv))


def show(argv: Sequence[str]) -> int:
    """Print rows of a table, or the tables there are."""
    parser = ToolParser(prog="python -m pipelines.show", description="Read a table of the lake.")
    parser.add_argument("table", nargs="?", help="name of a table; without it the tables are listed")
    parser.add_argument("--lake", default="./lake", help="directory or s3:// place of the Delta tables [./lake]")
    parser.add_argument("--s3_endpoint", type=web_address, help="URL of an S3-compatible server [AWS]")
    parser.add_argument("--limit", type=int, default=20, help="rows at the most [20]")
    parser.add_argument("--where", help="SQL condition, such as \"event_type = 'purchase'\" [none]")
    parser.add_argument("--columns", help="columns, separated by commas [all]")
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="csv: with a ' before texts that a spreadsheet would run [table]",
    )
    options = parser.parse_args(argv)
    lake = Lake(options.lake.rstrip("/"), options.s3_endpoint)
    if options.table is None:
        print_table(tables_of(lake))
        return 0
    if options.limit < 0:
        raise UserError("--limit: must not be below zero")
    frame = select(read_table(lake, options.table), options.columns, options.where, options.limit)
    if options.format == "json":
        print(json_lines(frame).decode(), end="")
    elif options.format == "csv":
        print(csv(frame), end="")
    else:
        print_table(frame, rows=options.limit)
    return 0


def read_table(lake: Lake, name: str) -> duckdb.DuckDBPyRelation:
    """A table of the lake as a DuckDB relation; UserError when there is none of that name."""
    table = lake.table(name)
    # Not the dataset: DuckDB 2.0 pushes text comparisons down into it, and none matches.
    return duckdb.from_arrow(table.to_pyarrow_table())


def select(relation: duckdb.DuckDBPyRelation, columns: str | None, where: str | None, limit: int) -> pl.DataFrame:
    """Columns and rows that a user asked for; UserError for SQL that does not fit the table."""
    try:
        if where:
            relation = relation.filter(where)
        if columns:
            relation = relation.project(", ".join(f'"{name.strip()}"' for name in columns.split(",")))
        frame: pl.DataFrame = relation.limit(limit).pl()
    except duckdb.Error as error:
        raise UserError(f"--where or --columns: {str(error).splitlines()[0]}") from None
    return frame


def tables_of(lake: Lake) -> pl.DataFrame:
    """The tables of a lake with their rows and files."""
    rows = []
    for name in lake.names():
        actions = pl.DataFrame(lake.table(name).get_add_actions(flatten=True))
        count = int(actions["num_records"].sum()) if actions.height else 0
        rows.append((name, count, actions.height))
    return pl.DataFrame(rows, schema={"table": pl.String, "rows": pl.Int64, "files": pl.Int64}, orient="row")
