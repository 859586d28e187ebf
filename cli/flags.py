"""Flags: fields of settings, declared once, read from the command line and from YAML, explained by --help."""

import argparse
import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn

from ecompulse.cli import values
from ecompulse.cli.beam_flags import beam_flags
from ecompulse.epochs.errors import UserError
from ecompulse.kernels.config import ConfigError, parse_yaml
from ecompulse.kernels.durations import EXAMPLES, duration_text

WIDTH: Final = 80
"""Columns of --help at the most."""

_METAVARS: Final[Mapping[Callable[[str], Any], str]] = {
    values.duration: "DURATION",
    values.count: "NUMBER",
    values.whole: "NUMBER",
    values.share: "SHARE",
    values.zone: "ZONE",
    values.instance: "NAME",
    values.web_address: "URL",
    values.lasting: "DURATION",
    str: "TEXT",
}
"""What a value is called in --help, by what reads it."""

_KEY: Final = "flag"


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        group: heading in --help.
        help: what it means, with unit; the default is added.
        parse: text to value; raises ValueError with a reason.
        metavar: what the value is called in --help.
        many: may be given more than once; the value is a tuple.
        switch: has no value: it is true when it is given.
        shown: how the default reads in --help, where its value does not say it.
    """

    name: str
    group: str
    help: str
    default: Any = None
    parse: Callable[[str], Any] = str
    metavar: str | None = None
    choices: Sequence[str] | None = None
    many: bool = False
    switch: bool = False
    shown: str | None = None

    def read(self, text: str) -> Any:
        """The value of a text; ValueError with a reason, also for none at all: a variable that is not set."""
        if not text.strip():
            raise ValueError("is empty")
        return self.parse(text)


def flag(group: str, text: str, default: Any = None, **more: Any) -> Any:
    """A field of a dataclass of settings that is a flag; for `more` see Flag."""
    return dataclasses.field(default=default, metadata={_KEY: Flag("", group, text, default, **more)})


def switch(group: str, text: str) -> Any:
    """A field that is true when its flag is given."""
    return flag(group, text, default=False, switch=True)


def flags_of(*kinds: type) -> list[Flag]:
    """The flags among the fields of dataclasses, in order."""
    found = [each for kind in kinds for each in dataclasses.fields(kind) if _KEY in each.metadata]
    return [dataclasses.replace(each.metadata[_KEY], name=each.name) for each in found]


@dataclass(frozen=True)
class Given:
    """What a user asked for: values by name of our flags, and what goes to Beam."""

    values: Mapping[str, Any]
    beam: tuple[str, ...]

    def fill(self, kind: type[Any]) -> Any:
        """An instance of a dataclass of settings."""
        return kind(**{each.name: self.values[each.name] for each in flags_of(kind)})


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line instead of a usage text."""
        match = re.fullmatch(r"argument (--\S+?)(?:/\S+)?: (.*)", message)
        raise UserError(f"{match[1]}: {match[2]}" if match else message)


def parse(program: str, summary: str, flags: Sequence[Flag], argv: Sequence[str]) -> Given:
    """Read `argv` (and the YAML file that `--config` names); UserError names the flag that is wrong."""
    own, after = _split(argv)
    parser = _parser(program, summary, flags)
    known, unknown = parser.parse_known_args(own)
    given = {name for name, value in vars(known).items() if value is not None}
    found = {flag.name: flag.default for flag in flags}
    beam: list[str] = []
    if known.config:
        for key, value in load_config(known.config).items():
            flag = next((flag for flag in flags if flag.name == key), None)
            if flag is None:
                _check_beam([f"--{key}"], flags, f"--config: {known.config}: ")
                beam += _for_beam(key, value)
            else:
                found[key] = _from_yaml(flag, value, known.config)
    found |= {flag.name: _as_given(flag, known) for flag in flags if flag.name in given}
    beam += _check_beam(unknown, flags, "")
    return Given(found, (*beam, *after))


def _as_given(flag: Flag, known: argparse.Namespace) -> Any:
    value = getattr(known, flag.name)
    return tuple(value) if flag.many else value


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    own = list(argv)
    if "--" not in own:
        return own, []
    at = own.index("--")
    return own[:at], own[at + 1 :]


def _parser(program: str, summary: str, flags: Sequence[Flag]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        usage=f"{program} --source=URI [flags]",
        description=summary,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=WIDTH, max_help_position=26),
        epilog=f"DURATION is {EXAMPLES}. Any other flag is Beam's own; what follows -- goes to Beam unread.",
    )
    parser.add_argument("--version", action="version", version=f"ecompulse {version('ecompulse')}")
    groups: dict[str, Any] = {}
    for flag in flags:
        group = groups.setdefault(flag.group, None) or parser.add_argument_group(flag.group)
        groups[flag.group] = group
        text = flag.help.replace("%", "%%") + f" [{default_of(flag)}]"
        if flag.switch:
            group.add_argument(f"--{flag.name}", action="store_true", default=None, help=text)
        else:
            group.add_argument(
                f"--{flag.name}",
                type=_typed(flag),
                action="append" if flag.many else "store",
                default=None,
                help=text,
                metavar=metavar_of(flag),
                choices=flag.choices,
            )
    return parser


def metavar_of(flag: Flag) -> str:
    """What the value of a flag is called in --help."""
    if flag.choices:
        return f"{{{','.join(flag.choices)}}}"
    return flag.metavar or _METAVARS.get(flag.parse, "VALUE")


def default_of(flag: Flag) -> str:
    """How the default of a flag reads."""
    if flag.shown is not None:
        return flag.shown
    if flag.switch:
        return "off"
    if flag.default in (None, ()):
        return "none"
    return duration_text(flag.default) if flag.parse in (values.duration, values.lasting) else str(flag.default)


def _typed(flag: Flag) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return flag.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def load_config(path: str) -> dict[str, Any]:
    """Flags by name in a YAML file, as they stand there; UserError for a file that is none."""
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
        parsed = [flag.read(str(item)) for item in items]
    except ValueError as error:
        raise UserError(f"--config: {path}: {flag.name}: {error}") from None
    if flag.choices and not set(parsed) <= set(flag.choices):
        raise UserError(f"--config: {path}: {flag.name}: {value!r} is none of {', '.join(flag.choices)}")
    return tuple(parsed) if flag.many else parsed[0]


def _for_beam(key: str, value: Any) -> list[str]:
    """A YAML value as Beam's parser wants it: switches have none, lists are the flag given again."""
    values = value if isinstance(value, list) else [value]
    return [f"--{key}" if item is True else f"--{key}={item}" for item in values if item is not False]


def _check_beam(unknown: Sequence[str], flags: Sequence[Flag], where: str) -> list[str]:
    """Pass on what Beam knows; UserError names what nobody knows, and its nearest neighbour."""
    if not unknown:
        return []
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
