"""`python -m pipelines.lookups load`: fill a look-up store from a file."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from ecompulse.cli.guard import guarded
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.errors import UserError
from ecompulse.io.lookups.loading import declared_as, load_dynamodb, load_redis, read_rows
from ecompulse.io.lookups.store import LookupSpec, parse_spec
from ecompulse.io.terminal import say


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("lookups", lambda: load(sys.argv[1:] if argv is None else argv))


def load(argv: Sequence[str]) -> int:
    """Write the rows of a file, whole rows in place of what was there; a second run changes nothing."""
    options = _parser().parse_args(argv)
    try:
        spec = _spec(options.to, options)
        rows = read_rows(options.file, spec, options.key)
        if spec.scheme == "dynamodb":
            done = load_dynamodb(rows, spec, options.key, create=options.create)
        else:
            done = load_redis(rows, spec, options.key)
    except ValueError as error:
        raise UserError(str(error)) from None
    columns = ", ".join(f"{name}: {kind}" for name, kind in declared_as(rows, options.key).items())
    say(f"{spec}: {done:,} rows; for --enrich: columns: {{{columns}}}", sys.stdout)
    return 0


def _parser() -> ToolParser:
    parser = ToolParser(prog="python -m pipelines.lookups", description="Fill a look-up store from a file.")
    parser.add_argument("verb", choices=("load",))
    parser.add_argument("--from", dest="file", required=True, help="file of rows: .csv (all text), .jsonl or .parquet")
    parser.add_argument(
        "--to",
        required=True,
        help="the store, as in --enrich: redis://HOST:PORT/DB, rediss://... or dynamodb://TABLE, with its options",
    )
    parser.add_argument("--key", required=True, help="column of the file that is the key")
    parser.add_argument("--columns", help="columns to write, separated by commas [all]")
    parser.add_argument("--pattern", help="redis: name of a row's key, such as user:{key}")
    parser.add_argument("--as", dest="form", choices=("hash", "json"), help="redis: [hash]")
    parser.add_argument("--create", action="store_true", help="dynamodb: make the table when it is not there [off]")
    parser.add_argument("--dynamodb_endpoint", help="URL of a DynamoDB-compatible server [AWS]")
    return parser


def _spec(text: str, options: object) -> LookupSpec:
    """The URL with what the flags add."""
    given = vars(options)
    separator = "&" if "?" in text else "?"
    spec = parse_spec(f"{text}{separator}key={given['key']}")
    named = {"columns": "columns", "pattern": "pattern", "form": "as"}
    if spec.scheme not in ("redis", "rediss", "dynamodb"):
        raise UserError(f"--to: {spec.scheme}: can be filled are redis, rediss and dynamodb")
    if spec.scheme == "dynamodb":
        named = {"columns": "columns", "dynamodb_endpoint": "endpoint"}
    added = {option: given[flag] for flag, option in named.items() if given[flag] is not None}
    return replace(spec, options={**spec.options, **added})
