"""`python -m ecompulse.simulator`: write a simulated shop to a folder, or send its events without end."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, NoReturn

from ecompulse.io.signals import stop_on_signals
from ecompulse.io.terminal import say
from ecompulse.simulator.episode import Episode
from ecompulse.simulator.episodes import CardTesting, CheckoutOutage
from ecompulse.simulator.incidents import PriceError, SearchOutage, TrafficCollapse
from ecompulse.simulator.produce import GrowingFiles, NewFiles, RealClock, produce
from ecompulse.simulator.settings import Settings, SettingsError, instant, milliseconds
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write, write_side
from ecompulse.simulator.truth import Truth

_EPISODES: Final = {
    "checkout_outage": CheckoutOutage,
    "card_testing": CardTesting,
    "traffic_collapse": TrafficCollapse,
    "price_error": PriceError,
    "search_outage": SearchOutage,
}
_SHARES: Final = {
    "bots": "of events made by crawlers",
    "shared_device": "of members' visits in which a second member takes over",
    "no_result": "of searches that find nothing",
    "out_of_order": "of events that arrive late, but within --watermark_delay",
    "late": "of events that arrive beyond it",
    "duplicates": "of events sent twice",
    "broken": "of rows added that cannot be decoded",
    "unknown_fields": "of events with an unknown field",
    "unknown_types": "of page views with an unknown type",
}
_ENDLESS_IGNORES: Final = ("events", "start", "duration")


class _Parser(argparse.ArgumentParser):
    """Its errors are one line; the one of the tools is in a room that needs this one."""

    def error(self, message: str) -> NoReturn:
        """Raise SettingsError."""
        raise SettingsError(message.removeprefix("argument "))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    default = {field.name: field.default for field in fields(Settings)}
    made = _Parser(prog="python -m ecompulse.simulator", description=__doc__, allow_abbrev=False)
    made.add_argument("--out", required=True, type=_folder, metavar="DIR", help="folder to write to")
    made.add_argument("--seed", type=int, default=default["seed"], help="of everything (default %(default)s)")
    made.add_argument("--shoppers", type=int, help="people (default: about one for 40 events)")
    made.add_argument("--products", type=int, default=default["products"], help="products (default %(default)s)")
    made.add_argument(
        "--watermark_delay",
        type=_read(milliseconds),
        default="10m",
        metavar="DURATION",
        help="disorder (default %(default)s)",
    )
    _add_kinds(made)
    made.add_argument(
        "--episode", action="append", default=[], metavar="NAME@AFTER",
        help=f"plant one: {' or '.join(_EPISODES)}, so long after the start (checkout_outage@6h); repeatable",
    )  # fmt: skip
    shares = made.add_argument_group("shares, from 0 to 1")
    for name, meaning in _SHARES.items():
        shares.add_argument(f"--{name}", type=float, default=default[name], help=f"{meaning} (default %(default)s)")
    return made


def _add_kinds(made: argparse.ArgumentParser) -> None:
    default = {field.name: field.default for field in fields(Settings)}
    finite = made.add_argument_group("a finished shop (without --rate)")
    finite.add_argument("--events", type=int, help=f"good events, about (default {default['events']})")
    finite.add_argument(
        "--start", type=_read(_start), help=f"ISO 8601 with zone, or epoch ms (default {default['start']})"
    )
    finite.add_argument(
        "--duration", type=_read(milliseconds), metavar="DURATION", help="of event time, such as 6h or 2d (default 1d)"
    )
    endless = made.add_argument_group("an endless one")
    endless.add_argument("--rate", type=float, metavar="R", help="events a second, from now on, until Ctrl-C")
    endless.add_argument(
        "--files",
        choices=("growing", "new"),
        help="one growing file per stream, or a new one each second (default)",
    )


def _read(read: Callable[[str], int]) -> Callable[[str], int]:
    """`read` for argparse, which keeps no other error's text."""

    def typed(text: str) -> int:
        try:
            return read(text)
        except SettingsError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return Path(text)


def _start(text: str) -> int:
    return instant(int(text) if text.isdigit() else text)


def _episode(text: str) -> Episode:
    name, _, after = text.partition("@")
    if name not in _EPISODES or not after:
        raise SettingsError(f"--episode={text}: write NAME@AFTER with a NAME of {', '.join(_EPISODES)}")
    try:
        episode: Episode = _EPISODES[name](after_ms=milliseconds(after))
    except SettingsError as error:
        raise SettingsError(f"--episode={text}: {error}") from None
    return episode


def settings_of(given: argparse.Namespace) -> Settings:
    """Settings from the command line.

    Raises:
        SettingsError: flags that contradict each other, or a value that cannot be.
    """
    values: dict[str, Any] = {name: getattr(given, name) for name in (*_SHARES, "seed", "shoppers", "products")}
    if given.rate is not None:
        for name in _ENDLESS_IGNORES:
            if getattr(given, name) is not None:
                raise SettingsError(f"--{name} does not go with --rate, which starts now and does not end")
    elif given.files is not None:
        raise SettingsError("--files goes with --rate only")
    if given.events is not None:
        values["events"] = given.events
    if given.start is not None:
        values["start"] = given.start
    if given.duration is not None:
        values["duration_ms"] = given.duration
    values["watermark_delay_ms"] = given.watermark_delay
    values["episodes"] = tuple(_episode(text) for text in given.episode)
    return Settings(**values)


def _endless(settings: Settings, rate: float, folder: Path, files: str | None) -> Truth:
    """Send until SIGINT or SIGTERM; what is in hand is finished."""
    stop = stop_on_signals()
    clock = RealClock(stop)
    sink = GrowingFiles(folder) if files == "growing" else NewFiles(folder, clock)
    return produce(settings, rate, sink, clock, stop=stop.is_set, begin=lambda shop: write_side(shop, folder))


def _naming_the_flag(message: str, made: argparse.ArgumentParser) -> str:
    """What is wrong with a setting, by its flag: messages of settings begin with the field."""
    name = message.partition(" ")[0].removesuffix("_ms")
    return f"--{name}{message[message.find(' ') :]}" if f"--{name}" in made.format_usage() else message


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 the folder failed, 2 wrong use."""
    made = parser()
    try:
        given = made.parse_args(arguments)
        settings = settings_of(given)
        if given.rate is not None:
            truth = _endless(settings, given.rate, given.out, given.files)
        else:
            truth = write(simulate(settings), given.out)
    except SettingsError as error:
        say(f"simulator: {_naming_the_flag(str(error), made)}; see --help")
        return 2
    except OSError as error:
        say(f"simulator: --out: cannot write to {given.out}: {error.strerror}")
        return 1
    sys.stdout.write(json.dumps(truth.to_json()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
