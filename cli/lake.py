"""`python -m pipelines.lake compact|vacuum`: keep the tables of a lake in shape."""

import sys
from collections.abc import Sequence
from typing import Final

from ecompulse.cli.guard import guarded
from ecompulse.cli.stores import add_s3_endpoint
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.errors import UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.io.terminal import say

_WEEK: Final = 168  # hours


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("lake", lambda: maintain(sys.argv[1:] if argv is None else argv))


def maintain(argv: Sequence[str]) -> int:
    """Compact small files, or remove files that no version of the last days refers to.

    Among those are files of runs that were never sealed, which no version ever referred to.
    """
    parser = ToolParser(prog="python -m pipelines.lake", description="Keep the tables of a lake in shape.")
    parser.add_argument("verb", choices=("compact", "vacuum"))
    parser.add_argument("tables", nargs="*", help="names of tables [all]")
    parser.add_argument("--lake", default="./lake", help="directory or s3:// place of the Delta tables [./lake]")
    add_s3_endpoint(parser)
    parser.add_argument(
        "--keep_hours",
        type=int,
        default=_WEEK,
        help="vacuum: keep what is younger than so many hours, the files of running jobs among it; jobs that stopped "
        "before must have been run to their end [168]",
    )
    options = parser.parse_args(argv)
    if options.keep_hours < 0:
        raise UserError("--keep_hours: must not be below zero")
    lake = Lake(options.lake.rstrip("/"), options.s3_endpoint)
    names = options.tables or lake.names()
    if not names:
        raise UserError(f"--lake: {options.lake} holds no Delta table")
    for name in names:
        table = lake.table(name)
        if options.verb == "compact":
            done = table.optimize.compact()
            became = f"{done['numFilesRemoved']} files became {done['numFilesAdded']}"
            say(f"{name}: {became if done['numFilesRemoved'] else 'nothing to compact'}", sys.stdout)
        else:
            gone = table.vacuum(
                options.keep_hours, dry_run=False, enforce_retention_duration=options.keep_hours >= _WEEK, full=True
            )
            say(f"{name}: {len(gone)} files removed", sys.stdout)
    return 0
