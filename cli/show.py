"""`python -m pipelines.show TABLE`: read a table of the lake without knowing Delta."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import duckdb
import polars as pl

from ecompulse.cli.guard import guarded
from ecompulse.cli.limits import add_limit, limit_of
from ecompulse.cli.printing import FORMATS, print_frame, print_table
from ecompulse.cli.stores import add_s3_endpoint
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.errors import UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.io.sinks.catalogue import latest_sql
from ecompulse.io.sinks.warehouse_schema import LATEST

_ROWS: Final = 20
"""On a screen, where no other number is given."""

_OF_A_TABLE: Final = ("where", "columns", "order", "group")

_WORDS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("show", lambda: show(sys.argv[1:] if argv is None else argv))


def show(argv: Sequence[str]) -> int:
    """Print rows of a table, or the tables there are."""
    parser = _parser()
    options = parser.parse_args(argv)
    lake = Lake(options.lake.rstrip("/"), options.s3_endpoint)
    limit = limit_of(options, _ROWS)
    _refuse_unused(options)
    if options.sql:
        if options.table:
            raise UserError("--sql: names its tables itself; leave out the name of the table")
        limit.show("show", ask(lake, options.sql, limit.asked), options.format)
        return 0
    if options.table is None:
        tables = tables_of(lake)
        if options.format == "table":
            print_table(tables)
        else:
            print_frame(tables, options.format)
        return 0
    relation = read_table(lake, options.table)
    found = select(relation, options.columns, options.where, limit.asked, options.order, options.group)
    limit.show("show", found, options.format)
    return 0


def _refuse_unused(options: argparse.Namespace) -> None:
    """UserError for flags that say what of a table is wanted, where none is named."""
    given = [name for name in _OF_A_TABLE if getattr(options, name) is not None and options.table is None]
    if given and options.sql:
        raise UserError(f"--{given[0]}: does not go with --sql, which says it itself")
    if given or (options.limit is not None and options.table is None and not options.sql):
        raise UserError(f"--{(*given, 'limit')[0]}: of which table? name it, as in `show enriched_events --limit=5`")


def _parser() -> ToolParser:
    parser = ToolParser(prog="python -m pipelines.show", description="Read a table of the lake.")
    parser.add_argument(
        "table", nargs="?", help="name of a table, or <table>_latest: each row in its last, final revision; "
        "without it the tables are listed",
    )  # fmt: skip
    parser.add_argument("--lake", default="./lake", help="directory or s3:// place of the Delta tables [./lake]")
    add_s3_endpoint(parser)
    add_limit(parser, _ROWS)
    parser.add_argument("--where", help="SQL condition, such as \"event_type = 'purchase'\" [none]")
    parser.add_argument("--columns", help="columns, separated by commas [all]")
    parser.add_argument("--order", help='what to sort by, as SQL says it: "value_base desc, visitor" [none]')
    parser.add_argument("--group", help="count rows by these columns, separated by commas; the most first [none]")
    parser.add_argument("--sql", help="a whole query in DuckDB's SQL over the tables of the lake [none]")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="auto",
        help="record: a line per column, of wide rows; auto: table where it fits the screen, else record; csv: with a "
        "' before texts that a spreadsheet would run [auto]",
    )
    return parser


def read_table(lake: Lake, name: str) -> duckdb.DuckDBPyRelation:
    """A table of the lake, or its rows as they stand, as a DuckDB relation; UserError when there is none."""
    base = name.removesuffix(LATEST)
    if base != name and not lake.holds(name):
        relation = read_table(lake, base)
        return relation.query("rows_of_table", latest_sql("rows_of_table", relation.columns))
    table = lake.table(name)
    # Not the dataset: DuckDB 2.0 pushes text comparisons down into it, and none matches.
    return duckdb.from_arrow(table.to_pyarrow_table())


def ask(lake: Lake, sql: str, limit: int | None) -> pl.DataFrame:
    """The answer to a query, at most `limit` rows (None: all); UserError for SQL that is wrong.

    Only the tables that it names are read.
    """
    there = lake.names()
    named = {word for word in _WORDS.findall(sql) if word.removesuffix(LATEST) in there}
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        for name in sorted(named):
            connection.register(name, read_table(lake, name).to_arrow_table())
        connection.execute("SET TimeZone = 'UTC'")  # else days and hours are those of this machine
        try:
            found = _first(connection.sql(sql), limit)
        except (duckdb.Error, AttributeError) as error:
            said = str(error).splitlines()[0] if isinstance(error, duckdb.Error) else "gives no rows"
            raise UserError(f"--sql: {said}; tables: {', '.join(there)}") from None
    return found


def select(
    relation: duckdb.DuckDBPyRelation,
    columns: str | None,
    where: str | None,
    limit: int | None,
    order: str | None = None,
    group: str | None = None,
) -> pl.DataFrame:
    """Columns and rows that a user asked for; UserError for SQL that does not fit the table."""
    if group and columns:
        raise UserError("--group: gives its own columns and their rows; leave out --columns")
    given = {"where": where, "group": group, "order": order, "columns": columns}
    try:
        for name, text in given.items():
            if text:
                relation = _STEPS[name](relation, text)
        frame = _first(relation, limit)
    except duckdb.Error as error:
        flags = " or ".join(f"--{name}" for name, text in given.items() if text)
        raise UserError(f"{flags}: {str(error).splitlines()[0]}") from None
    return frame


def _first(relation: duckdb.DuckDBPyRelation, limit: int | None) -> pl.DataFrame:
    frame: pl.DataFrame = (relation if limit is None else relation.limit(limit)).pl()
    return frame


def _counted(relation: duckdb.DuckDBPyRelation, group: str) -> duckdb.DuckDBPyRelation:
    by = _names(group)
    return relation.aggregate(f"{by}, count(*) AS rows", by).order(f"rows DESC, {by}")


_STEPS: Final[Mapping[str, Callable[[duckdb.DuckDBPyRelation, str], duckdb.DuckDBPyRelation]]] = {
    "where": lambda relation, text: relation.filter(text),
    "group": _counted,
    "order": lambda relation, text: relation.order(text),
    "columns": lambda relation, text: relation.project(_names(text)),
}


def _names(text: str) -> str:
    return ", ".join(f'"{name.strip()}"' for name in text.split(","))


def tables_of(lake: Lake) -> pl.DataFrame:
    """The tables of a lake with their rows and files; UserError when there is no lake."""
    names = lake.names()
    if not names:
        raise UserError(f"--lake: {lake.root}: there is no table of a lake")
    rows = []
    for name in names:
        actions = pl.DataFrame(lake.table(name).get_add_actions(flatten=True))
        count = int(actions["num_records"].sum()) if actions.height else 0
        rows.append((name, count, actions.height))
    return pl.DataFrame(rows, schema={"table": pl.String, "rows": pl.Int64, "files": pl.Int64}, orient="row")
