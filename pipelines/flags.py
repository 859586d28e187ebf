"""Flags of the jobs: declared once, read from the command line and from YAML, explained by --help."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from ecompulse.epochs.errors import UserError
from ecompulse.io.kafka.start import parse_start
from ecompulse.kernels.config import ConfigError, parse_yaml

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        group: heading in --help.
        help: what it means, with unit; the default is added.
        parse: text to value; raises ValueError with a reason.
        shown: how the default reads in --help, where its value does not say it.
    """

    name: str
    group: str
    help: str
    default: Any = None
    parse: Callable[[str], Any] = str
    choices: Sequence[str] | None = None
    many: bool = False
    switch: bool = False
    shown: str | None = None


def duration(text: str) -> int:
    """`250ms`, `10s`, `5m`, `1h`, `7d` as ms."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    if not match:
        raise ValueError(f"{text!r} is no duration; write 250ms, 10s, 5m, 1h or 7d")
    return round(float(match[1]) * _UNITS[match[2]])


def count(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no whole number above zero")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is no number from 0 to 1")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def zone(text: str) -> str:
    """A time zone by its IANA name."""
    if text == "UTC":
        return text
    from ecompulse.kernels.zones import is_zone

    if not is_zone(text):
        raise ValueError(f"{text!r} is no time zone such as UTC or Europe/Berlin")
    return text


def instance(text: str) -> str:
    """A name of an instance of a job: part of ids, rows and paths."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text):
        raise ValueError(f"{text!r} is no name; letters, digits, `_`, `.` and `-`, at most 63, are")
    return text


def web_address(text: str) -> str:
    """`http://HOST:PORT` or `https://...`, without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is no address; write http://HOST:PORT or https://HOST")  # it may hold a password
    return text.rstrip("/")


def trigger(text: str) -> str | int:
    """`available-now`, `once`, or a duration in ms."""
    return text if text in {"available-now", "once"} else duration(text)


def start(text: str) -> str:
    """Where Kafka partitions begin; ValueError when it says nothing that can be."""
    parse_start(text)
    return text


@dataclass(frozen=True)
class Options:
    """What a user asked for: our flags by name, and what goes to Beam."""

    values: dict[str, Any]
    beam: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        """A flag's value."""
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line instead of a usage text."""
        match = re.fullmatch(r"argument (--\S+?)(?:/\S+)?: (.*)", message)
        raise UserError(f"{match[1]}: {match[2]}" if match else message)


def parse(program: str, summary: str, flags: Sequence[Flag], argv: Sequence[str]) -> Options:
    """Read `argv` (and the YAML file that `--config` names); UserError names the flag that is wrong."""
    own, after = _split(argv)
    parser = _parser(program, summary, flags)
    known, unknown = parser.parse_known_args(own)
    given = {name for name, value in vars(known).items() if value is not None}
    values = {flag.name: flag.default for flag in flags}
    beam: list[str] = []
    if known.config:
        for key, value in _load(known.config).items():
            flag = next((flag for flag in flags if flag.name == key), None)
            if flag is None:
                _check_beam([f"--{key}"], flags, f"--config: {known.config}: ")
                beam += _for_beam(key, value)
            else:
                values[key] = _from_yaml(flag, value, known.config)
    values.update({name: getattr(known, name) for name in given})
    beam += _check_beam(unknown, flags, "")
    return Options(values, (*beam, *after))


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    own = list(argv)
    if "--" not in own:
        return own, []
    at = own.index("--")
    return own[:at], own[at + 1 :]


def _parser(program: str, summary: str, flags: Sequence[Flag]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description=summary,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Any other flag is Beam's own; what follows -- goes to Beam unread.",
    )
    groups: dict[str, Any] = {}
    for flag in flags:
        group = groups.setdefault(flag.group, None) or parser.add_argument_group(flag.group)
        groups[flag.group] = group
        text = flag.help.replace("%", "%%") + f" [{_shown(flag)}]"
        if flag.switch:
            group.add_argument(f"--{flag.name}", action="store_true", default=None, help=text)
        else:
            group.add_argument(
                f"--{flag.name}",
                type=_typed(flag),
                action="append" if flag.many else "store",
                default=None,
                help=text,
                metavar=flag.name.rsplit("_", 1)[-1].upper() if not flag.choices else None,
                choices=flag.choices,
            )
    return parser


def _shown(flag: Flag) -> str:
    if flag.shown is not None:
        return flag.shown
    if flag.switch:
        return "off"
    return "none" if flag.default in (None, []) else str(flag.default)


def _typed(flag: Flag) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return flag.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _load(path: str) -> dict[str, Any]:
    try:
        loaded = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config: {path}: {error.strerror}") from None
    except ConfigError as error:
        raise UserError(f"--config: {path} is no YAML: {error.message}") from None
    if not isinstance(loaded, dict):
        raise UserError(f"--config: {path}: wants `flag: value` lines")
    return {str(key).lstrip("-"): value for key, value in loaded.items()}


def _from_yaml(flag: Flag, value: Any, path: str) -> Any:
    if flag.switch:
        if not isinstance(value, bool):
            raise UserError(f"--config: {path}: {flag.name}: wants true or false, not {value!r}")
        return value
    items = value if isinstance(value, list) and flag.many else [value]
    if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items):
        raise UserError(f"--config: {path}: {flag.name}: wants one value{' or a list' * flag.many}, not {value!r}")
    try:
        parsed = [flag.parse(str(item)) for item in items]
    except ValueError as error:
        raise UserError(f"--config: {path}: {flag.name}: {error}") from None
    if flag.choices and not set(parsed) <= set(flag.choices):
        raise UserError(f"--config: {path}: {flag.name}: {value!r} is none of {', '.join(flag.choices)}")
    return parsed if flag.many else parsed[0]


def _for_beam(key: str, value: Any) -> list[str]:
    """A YAML value as Beam's parser wants it: switches have none, lists are the flag given again."""
    values = value if isinstance(value, list) else [value]
    return [f"--{key}" if item is True else f"--{key}={item}" for item in values if item is not False]


def _check_beam(unknown: Sequence[str], flags: Sequence[Flag], where: str) -> list[str]:
    """Pass on what Beam knows; UserError names what nobody knows, and its nearest neighbour."""
    if not unknown:
        return []
    from pipelines.beam_flags import beam_flags

    theirs = beam_flags()
    ours = [flag.name for flag in flags]
    for text in unknown:
        if not text.startswith("-"):
            continue  # the value of a flag of Beam's
        name = text.lstrip("-").split("=")[0]
        if name not in theirs:
            near = difflib.get_close_matches(name, [*ours, *theirs], n=1, cutoff=0.5)
            hint = f"; did you mean --{near[0]}?" if near else ""
            raise UserError(f"{where}--{name}: neither this job nor Beam knows this flag{hint}")
    if not unknown[0].startswith("-"):
        raise UserError(f"{where}{unknown[0]!r}: flags start with --")
    return list(unknown)
