"""`python -m pipelines.mapping init|show|list`: a first mapping for a file, and the mappings that are shipped."""

import json
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from ecompulse.cli.guard import guarded
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Source
from ecompulse.io.files.guess import guess
from ecompulse.io.sources import SourceContext, open_source
from ecompulse.io.terminal import say
from ecompulse.kernels.config import load_config, nearest
from ecompulse.kernels.decode.api import rows_of
from ecompulse.kernels.decode.rules import BrokenRule
from ecompulse.kernels.event import FAULT
from ecompulse.kernels.foreign.dialect import Dialect
from ecompulse.kernels.foreign.draft import draft
from ecompulse.kernels.mapping import Mapping, load_mapping, shipped_mappings

_ROWS: Final = 200


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("mapping", lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: Sequence[str]) -> int:
    parser = ToolParser(prog="python -m pipelines.mapping", description="Draft a mapping, or look at a shipped one.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text, argument in (
        ("init", "draft a mapping from the first rows of a file, as YAML on standard output", "FILE"),
        ("show", "print a shipped mapping, to copy and change", "NAME"),
        ("list", "name the shipped mappings", None),
    ):
        sub = verbs.add_parser(verb, help=text, description=text)
        if argument:
            sub.add_argument("name", metavar=argument)
    options = parser.parse_args(argv)
    if options.verb == "list":
        for name in shipped_mappings():
            say(f"{name:<18} {load_mapping(name).help}", sys.stdout)
    elif options.verb == "show":
        print(_shipped(options.name), end="")
    else:
        print(drafted(options.name), end="")
    return 0


def _shipped(name: str) -> str:
    if name not in shipped_mappings():
        raise UserError(f"NAME: {name} is no shipped mapping{nearest(name, shipped_mappings())}")
    return resources.files("ecompulse.kernels.mappings").joinpath(f"{name}.yaml").read_text("utf-8")


def drafted(path: str) -> str:
    """A mapping for a file, a folder or a table; UserError where there is nothing to go by."""
    written = guess(path) if Path(path).is_file() else {}
    dialect = load_config(Dialect, written)
    try:
        source = open_source(path, SourceContext(0, dialect=dialect))
    except UserError as error:
        raise UserError(str(error).replace("--source:", "FILE:", 1)) from None
    rows = list(_rows(source, dialect))
    if not rows:
        raise UserError(f"FILE: {path}: no row to go by")
    return draft(rows, written or {})


def _rows(source: Source, dialect: Dialect) -> Iterator[dict[str, Any]]:
    """The first rows, parsed."""
    from ecompulse.cli.sources import first_rows

    found = first_rows(source, _ROWS)
    if found is None:
        return
    if FAULT in found.columns:
        raise UserError(f"FILE: {found['source'][0]}: {found[FAULT][0]}")
    read = rows_of(found, Mapping(format=dialect))
    for row in range(read.height):
        try:
            yield json.loads(json.dumps(read.values(row)))
        except BrokenRule:
            continue
