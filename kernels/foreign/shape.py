"""Shapes: what events a row gives, by what it says of itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.foreign.paths import Path, is_plain, lines_of, parse_path
from ecompulse.kernels.foreign.values import From

FieldSource = str | tuple[str, ...] | From
"""How a field is made: of the value at a path, of the first path that has one, or as `From` says."""

OTHERWISE: Final = "otherwise"
TOMBSTONES: Final = "tombstones"
"""In `skip`: messages without a value, as a topic of changes has after each deletion."""
THERE: Final = "*"
"""In `when`: any value, as long as there is one."""


def parse_source(value: object) -> FieldSource:
    """A field's source of YAML.

    Raises:
        ValueError: it is none.
    """
    from ecompulse.kernels.config import load_config  # noqa: PLC0415

    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(path, str) for path in value):
        return tuple(value)
    if isinstance(value, Mapping):
        given = dict(value)
        if isinstance(given.get("from"), str):
            given["from"] = [given["from"]]
        if isinstance(given.get("map"), Mapping):
            _check_no_null("map", given["map"])
            if "unmapped" in given and given["unmapped"] is None:
                given["unmapped"] = "null"
            given["map"] = {word(key): None if to is None else word(to) for key, to in given["map"].items()}
        return load_config(From, given)
    raise ValueError(f"{value!r} is no path, list of paths, or mapping with `from`")


def _check_no_null(path: str, keys: Iterable[object]) -> None:
    if None in keys:
        raise ConfigError(path, "null is no key; put it in quotes if it is a text")


def word(value: object) -> str:
    """A scalar of YAML as rows have it in text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_skip(value: object) -> "Condition | str | None":
    """A condition of rows that are skipped, or one of the words.

    Raises:
        ValueError: it is neither.
    """
    return TOMBSTONES if value == TOMBSTONES else parse_when(value)


def parse_when(value: object) -> "Condition | str | None":
    """A condition of YAML: path -> one value, a list of values, null (absent), or `*` (there).

    Raises:
        ValueError: it is none.
    """
    if value is None or value == OTHERWISE:
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{value!r} is no mapping of paths to values, nor `{OTHERWISE}`")
    _check_no_null("", value)
    found: list[tuple[str, tuple[str | None, ...]]] = []
    for path, wanted in value.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if any(isinstance(item, list | Mapping) for item in values) or not values:
            raise ConfigError(str(path), f"{wanted!r} is no value, nor a list of them")
        found.append((str(path), tuple(None if item is None else word(item) for item in values)))
    return tuple(found)


Condition = tuple[tuple[str, tuple[str | None, ...]], ...]
When = Annotated[Any, parse_when]
Skip = Annotated[Any, parse_skip]


@dataclass(frozen=True)
class Shape:
    """Events of one kind that rows give.

    Attributes:
        when: what holds of the rows that give them: all of its paths have one of their values; `otherwise` = no other
            shape takes the row; none = every row.
        explode: a list, such as `line_items[]`, of which each element gives an event.
        where: what holds of the elements that do; none = every one.
        fields: event field -> where it is, beside those of the mapping and before them.
        constants: event field -> its value in all of these events.
    """

    when: When = None
    explode: str | None = None
    where: When = None
    fields: Mapping[str, Annotated[Any, parse_source]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.explode is not None:
            path = parse_path(self.explode)
            if lines_of(path) != path:
                object.__setattr__(self, "explode", f"{self.explode}[]")
                path = parse_path(self.explode)
            if lines_of(path) != path:
                raise ConfigError("explode", f"{self.explode!r} is no list such as line_items[]")
        if self.where is not None and (self.where == OTHERWISE or not self.lines):
            raise ConfigError("where", "is of the lines of what is exploded, and holds paths and values")
        check_of_rows("when", self.when)
        for name, source in self.fields.items():
            if name in self.constants:
                raise ConfigError(f"constants.{name}", "the field has a path already; leave one of them out")
            self._check(f"fields.{name}", paths_of(source))
        self._check("where", [path for path, _ in self.where or ()])

    def _check(self, key: str, paths: Iterable[str]) -> None:
        for text in paths:
            given = lines_of(parse_path(text))
            if given and given != self.lines[: len(given)]:
                raise ConfigError(key, f"{text!r} is no line of what is exploded")

    @property
    def lines(self) -> Path:
        """The list that is exploded; empty for none."""
        if self.explode is not None:
            return parse_path(self.explode)
        found = [lines_of(parse_path(path)) for source in self.fields.values() for path in paths_of(source)]
        return max(found, key=len, default=())


def check_of_rows(key: str, condition: object) -> None:
    """ConfigError for a condition of rows that looks at lines."""
    for path, _ in condition if isinstance(condition, tuple) else ():
        if lines_of(parse_path(path)):
            raise ConfigError(key, f"{path!r} is of a line, and this is asked of rows; see `where`")


def paths_of(source: FieldSource) -> tuple[str, ...]:
    """The paths of a field's source."""
    if isinstance(source, From):
        return source.paths
    return (source,) if isinstance(source, str) else source


def is_simple(source: FieldSource) -> bool:
    """Whether a field is made of one column, by its name."""
    return (
        len(paths_of(source)) == 1 and is_plain(paths_of(source)[0]) and not (isinstance(source, From) and source.join)
    )
