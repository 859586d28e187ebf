"""What the command-line tools share: verbs with flags, tables on the terminal."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import polars as pl
from polars.datatypes import DataTypeClass

from ecompulse.epochs.errors import UserError
from ecompulse.io.terminal import ESCAPES, printable, say


class ToolParser(argparse.ArgumentParser):
    """An argument parser whose errors are one clear line; an empty value, of a variable that is not set, is one."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As the parent does; UserError for an empty value of a flag or argument."""
        found, unknown = super().parse_known_args(args, namespace)
        for action in self._actions:
            value = getattr(found, action.dest, None)
            if value != action.default and "" in (value if isinstance(value, list) else [value]):
                raise UserError(f"{(*action.option_strings, action.dest)[0]}: is empty")
        return found, unknown

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        """As the parent does; why a text is no value is what its `type` says, not what that is called."""
        if "type" in kwargs:
            kwargs["type"] = _reasoned(kwargs["type"])
        return super().add_argument(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise UserError."""
        raise UserError(f"{message}; see --help")


_NUMBERS: Final = {int: "a whole number", float: "a number"}


def _reasoned(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            wanted = _NUMBERS.get(parse)  # type: ignore[call-overload]  # any key may be asked for
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}" if wanted else str(error)) from None

    return parsed


def print_table(frame: pl.DataFrame, *, rows: int = 50, longest: int = 60) -> None:
    """A frame as plain text, without Polars' shape and type lines; texts are cut at `longest` characters."""
    print(table_text(frame, rows=rows, longest=longest))


def table_text(frame: pl.DataFrame, *, rows: int = 50, longest: int = 60) -> str:
    """See print_table."""
    with pl.Config(
        tbl_rows=rows,
        tbl_cols=-1,
        tbl_width_chars=10_000,
        fmt_str_lengths=longest,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_BORDERS_ONLY_CONDENSED",
        float_precision=4,
    ):
        return str(printable_frame(frame))


def print_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Names and values, aligned."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:<{width}}  {value}", sys.stdout)


def printable_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """`printable` for all texts of a frame, those within lists and structs too, and for the names of its columns."""
    columns = enumerate(frame.schema.items())
    return frame.select(_printable(pl.nth(at), dtype).alias(printable(name)) for at, (name, dtype) in columns)


def _printable(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Categorical | pl.Enum):
        values, dtype = values.cast(pl.String), pl.String()
    if isinstance(dtype, pl.String):
        return values.str.replace_many(ESCAPES)
    if isinstance(dtype, pl.Array):
        values, dtype = values.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.List):
        return values.list.eval(_printable(pl.element(), _instance(dtype.inner)))
    if isinstance(dtype, pl.Struct) and dtype.fields:
        fields = [
            _printable(values.struct.field(each.name), _instance(each.dtype)).alias(each.name) for each in dtype.fields
        ]
        return pl.when(values.is_not_null()).then(pl.struct(fields))
    return values


def _instance(dtype: DataTypeClass | pl.DataType) -> pl.DataType:
    return dtype() if isinstance(dtype, DataTypeClass) else dtype


def a_command(*words: str) -> str:
    """A command of ours as a shell takes it, in this folder, with this interpreter."""
    return " ".join(map(_quoted, [_interpreter(), "-m", "ecompulse", *words]))


def _quoted(word: str) -> str:
    """A word for a shell, in double quotes where these are easier to read."""
    if set(word) & set("' ") and not set(word) & set('"$`\\!'):
        name, equals, value = word.partition("=")
        return f'{name}{equals}"{value}"' if equals and " " not in name else f'"{word}"'
    return shlex.quote(word)


def _interpreter() -> str:
    """This interpreter, as it is called from here."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
