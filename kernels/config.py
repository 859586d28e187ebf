"""Checked YAML: plain data becomes a frozen dataclass, or one line names the wrong key and its mend.

A configuration is a frozen dataclass with annotations of this list: `str int float bool Decimal object`,
`StrEnum`, `Literal`, `X | None` and unions of plain types, `tuple[T, ...]`, `frozenset[T]`,
`Mapping[str, T]`, another such dataclass, and `Annotated[T, parse]` where `parse` makes a T of the raw value
or raises ValueError. Nothing is converted silently: `"1"` is no integer, `no` (YAML's false) is no text.
The validation libraries looked at coerce (cattrs, pydantic) or refuse unknown keys only in classes of their
own (msgspec), and none names the nearest key.
"""

import difflib
import re
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from ecompulse.kernels.durations import parse_duration
from ecompulse.kernels.strict_yaml import load_yaml

T = TypeVar("T")

_NAMES: Final = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", Decimal: "a decimal number",
    type(None): "null", dict: "a mapping", list: "a list",
}  # fmt: skip
_MISREAD: Final = re.compile(r"\b(alias|tag) '.*'")
"""What YAML took for an alias or a tag may be a secret that nobody quoted."""


class ConfigError(ValueError):
    """A wrong key or value in a configuration; the text is `path: message`, one line.

    Attributes:
        path: dotted path of the key, list items as `[2]`; empty for the whole document.
        message: what is wrong, and the mend.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, str]]:
        return type(self), (self.path, self.message)


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean X?` for the closest known word, else the list of what is known."""
    options = sorted(known)
    close = difflib.get_close_matches(word, options, n=1)
    if close:
        return f", did you mean {close[0]}?"
    return f"; known: {', '.join(options)}" if options else ""


Duration = Annotated[int, parse_duration]
"""A field in milliseconds that YAML writes as `10m`."""


def load_config(cls: type[T], data: object, path: str = "") -> T:
    """The dataclass `cls` filled from `data` (what a YAML parser gives; None means an empty mapping).

    A field whose name is no good key takes another by `field(metadata={"key": "from"})`. A ValueError of
    `__post_init__` is reported at the path of its mapping; a ConfigError raised there has its path appended.

    Raises:
        ConfigError: names the path of the first wrong key or value.
    """
    if not is_dataclass(cls):
        raise TypeError(f"{cls} is no dataclass")
    data = {} if data is None else data
    if not isinstance(data, Mapping):
        raise ConfigError(path, f"expected a mapping, found {_describe(data)}")
    by_key = {str(f.metadata.get("key", f.name)): f for f in fields(cls) if f.init}
    for key in data:
        if key not in by_key:
            raise ConfigError(_join(path, str(key)), f"unknown key{nearest(str(key), by_key)}")
    hints = get_type_hints(cls, include_extras=True)
    given = {f.name: _value(hints[f.name], data[key], _join(path, key)) for key, f in by_key.items() if key in data}
    for key, f in by_key.items():
        if f.name not in given and _required(f):
            raise ConfigError(_join(path, key), "required, but missing")
    try:
        return cls(**given)
    except ConfigError as error:
        raise ConfigError(_join(path, error.path), error.message) from None
    except ValueError as error:
        raise ConfigError(path, str(error)) from None


def parse_config(cls: type[T], text: str, origin: str = "", switches: Collection[str] | None = None) -> T:
    """The dataclass `cls` of a YAML text; `origin` (a file's name) begins each error; for the rest see `parse_yaml`.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    try:
        return load_config(cls, parse_yaml(text, switches=switches))
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error.path}".strip(": "), error.message) from None


def parse_yaml(text: str, path: str = "", switches: Collection[str] | None = None) -> object:
    """Plain data of one YAML document; a key given twice is an error, as is broken YAML.

    `switches` is for configurations that hold values of data, which are compared as text: see `load_yaml`.

    Raises:
        ConfigError: with line and column.
    """
    try:
        return load_yaml(text, switches)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = _MISREAD.sub(r"\1", error.problem or "is broken")
        raise ConfigError(path, f"{where}{problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(path, " ".join(str(error).split())) from None
    except ValueError as error:  # 2024-02-30
        raise ConfigError(path, f"what looks like a date is none ({error}); put it in quotes") from None
    except RecursionError:
        raise ConfigError(path, "is nested too deeply") from None


def _required(f: Field[Any]) -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _join(path: str, key: str) -> str:
    if not path or not key:
        return path or key
    return f"{path}{key}" if key.startswith("[") else f"{path}.{key}"


def _describe(value: object) -> str:
    name = _NAMES.get(type(value), type(value).__name__)
    return name if isinstance(value, dict | list) or value is None else f"{name} ({value!r})"


def _value(hint: Any, value: object, path: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(args, value, path)
    if hint is object or hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _union(args, value, path)
    if origin is Literal:
        return _choice([str(a) for a in args], value, path)
    return _container(origin, args, value, path) if origin else _plain(hint, value, path)


def _plain(hint: Any, value: object, path: str) -> Any:
    if is_dataclass(hint):
        return load_config(hint, value, path)  # type: ignore[arg-type]  # a class, never an instance
    if issubclass(hint, StrEnum):
        return hint(_choice([m.value for m in hint], value, path))
    return _scalar(hint, value, path)


def _annotated(args: Sequence[Any], value: object, path: str) -> Any:
    parse = next((a for a in args[1:] if callable(a)), None)
    if parse is None:
        return _value(args[0], value, path)
    try:
        return parse(value)
    except ConfigError as error:
        raise ConfigError(_join(path, error.path), error.message) from None
    except ValueError as error:
        raise ConfigError(path, str(error)) from None


def _union(args: Sequence[Any], value: object, path: str) -> Any:
    """The first member that takes the value; with one member besides null, its own error."""
    members = [a for a in args if a is not type(None)]
    if value is None and len(members) < len(args):
        return None
    errors = []
    for member in members:
        try:
            return _value(member, value, path)
        except ConfigError as error:
            errors.append(error)
    deepest = max(errors, key=lambda e: len(e.path))
    if len(members) == 1 or deepest.path != path:
        raise deepest
    expected = " or ".join(_NAMES.get(get_origin(m) or m, str(m)) for m in members)
    raise ConfigError(path, f"expected {expected}, found {_describe(value)}")


def _choice(known: Sequence[str], value: object, path: str) -> str:
    if isinstance(value, str) and value in known:
        return value
    raise ConfigError(path, f"{value!r} is not one of {', '.join(known)}{_hint(value, known)}")


def _hint(value: object, known: Sequence[str]) -> str:
    close = nearest(str(value), known)
    return close if close.startswith(",") else ""


def _container(origin: Any, args: Sequence[Any], value: object, path: str) -> Any:
    if issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(path, f"expected a mapping, found {_describe(value)}")
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(path, f"key {key!r} must be text; put it in quotes")
        return {key: _value(args[1], item, _join(path, key)) for key, item in value.items()}
    if not isinstance(value, list | tuple):
        raise ConfigError(path, f"expected a list, found {_describe(value)}")
    return origin(_value(args[0], item, f"{path}[{number}]") for number, item in enumerate(value))


def _scalar(hint: type, value: object, path: str) -> Any:
    if isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and hint in (float, Decimal):
        return hint(value)
    if hint is Decimal and isinstance(value, str | float) and not isinstance(value, bool):
        with suppress(InvalidOperation):
            number = Decimal(str(value))
            if number.is_finite():
                return number
    raise ConfigError(path, f"expected {_NAMES.get(hint, hint.__name__)}, found {_describe(value)}")
