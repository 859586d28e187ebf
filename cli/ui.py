"""`ecompulse ui`: the live page of all jobs, on this machine."""

import argparse
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ecompulse.cli.guard import guarded
from ecompulse.cli.settings import absolute
from ecompulse.cli.stores import add_checkpoints, add_key, add_s3_endpoint, open_checkpoints
from ecompulse.cli.tool import ToolParser
from ecompulse.epochs.errors import UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.io.sinks.database import is_there, open_engine
from ecompulse.io.terminal import say

if TYPE_CHECKING:
    import sqlalchemy as sa

_HERE: Final = "127.0.0.1"
_LAST_PORT: Final = 65_535
_LOOPBACK: Final = frozenset({_HERE, "::1", "localhost"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("ui", lambda: serve(sys.argv[1:] if argv is None else argv))


def _parser() -> ToolParser:
    parser = ToolParser(prog="ecompulse ui", description="The live page of all jobs. It reads, and changes nothing.")
    add_checkpoints(parser)
    parser.add_argument("--lake", default="./lake", metavar="PLACE", help="with the dead letters, or none [./lake]")
    parser.add_argument(
        "--warehouse",
        default="sqlite:///warehouse.db",
        metavar="URL",
        help="with what is shown of the shop, or none [sqlite:///warehouse.db]",
    )
    add_s3_endpoint(parser)
    parser.add_argument(
        "--host", default=_HERE, metavar="ADDRESS", help=f"to listen on; any but loopback needs --token [{_HERE}]"
    )
    parser.add_argument("--port", type=int, default=8080, help="to listen on, 0 for any that is free [8080]")
    parser.add_argument("--token", type=_token, metavar="SECRET", help="readers must give it, `new` makes one [none]")
    parser.add_argument(
        "--root_path", type=_root_path, default="", metavar="PATH", help="behind a proxy, the path before ours [none]"
    )
    add_key(parser)
    return parser


def _token(text: str) -> str:
    """A secret that a header and a cookie can hold; ValueError for another."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("has characters that no header can hold; ASCII is understood")  # without the secret
    return text


def _root_path(text: str) -> str:
    """`/PATH`, however its slashes were given; nothing for the root."""
    return f"/{text.strip('/')}".rstrip("/")


def serve(argv: Sequence[str]) -> int:
    """Serve the page until a signal comes."""
    options = _parser().parse_args(argv)
    if options.host not in _LOOPBACK and not options.token:
        raise UserError(
            f"--host: {options.host} can be reached from elsewhere; give --token as well, such as `--token new`"
        )
    try:
        import uvicorn

        from ecompulse.ui.app import Sources, make_app
    except ModuleNotFoundError as error:
        if error.name not in {"uvicorn", "starlette"}:
            raise
        raise UserError("the page needs starlette and uvicorn; install ecompulse[ui]") from None
    engine = open_engine(options.warehouse) if options.warehouse != "none" else None
    token = secrets.token_urlsafe() if options.token == "new" else options.token  # noqa: S105  # a word, no secret
    sources = Sources(
        lambda: open_checkpoints(options.checkpoints, options.s3_endpoint, options.checkpoint_key),
        Lake(absolute(options.lake).rstrip("/"), options.s3_endpoint) if options.lake != "none" else None,
        engine,
    )
    with _listening(options.host, options.port) as listener:
        _say_missing(options, engine)
        port = listener.getsockname()[1]
        root, host = options.root_path, f"[{options.host}]" if ":" in options.host else options.host
        say(f"ui: http://{host}:{port}{root}/{f'?token={quote(token)}' if token else ''}", sys.stdout)
        config = uvicorn.Config(make_app(sources, token), root_path=root, log_level="warning")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    return 0


def _say_missing(options: argparse.Namespace, engine: "sa.Engine | None") -> None:
    """Name the places of this machine that are not there: the page would only be empty."""
    places = [("", place) for place in options.checkpoints] + [("--lake: ", options.lake)] * (options.lake != "none")
    for flag, place in places:
        if "://" not in place and not Path(place).is_dir():
            say(f"ui: {flag}{place} is not there yet")
    if engine is not None and not is_there(engine):
        say(f"ui: --warehouse: {options.warehouse} is not there yet")


def _listening(host: str, port: int) -> socket.socket:
    """A socket that is bound before anybody is told the address; UserError names the flag that is wrong."""
    if not 0 <= port <= _LAST_PORT:
        raise UserError(f"--port: {port} is no port; 1 to {_LAST_PORT} are, and 0 for any that is free")
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UserError(f"--host: {host}: {error.strerror}") from None
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise UserError(f"--port: {host}:{port}: {why}; give another, or 0 for any that is free") from None
