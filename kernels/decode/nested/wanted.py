"""What a mapping with paths and shapes wants of a row, worked out once per batch."""

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import polars as pl

from ecompulse.kernels.decode.batch import all_of, nothing
from ecompulse.kernels.decode.cells import Cells
from ecompulse.kernels.decode.plan import PROPERTIES, Plan
from ecompulse.kernels.decode.strict_json import literal
from ecompulse.kernels.event import FIELDS
from ecompulse.kernels.foreign.paths import EACH, NUMBER, Node, Path, Step, lines_of, parse_path, shown
from ecompulse.kernels.foreign.shape import OTHERWISE, THERE, Condition, Shape, paths_of
from ecompulse.kernels.foreign.values import From
from ecompulse.kernels.mapping import Mapping

EVERYTHING: Final = "*"
_EXACT: Final = "\x01"
"""Begins the target of a key that is called as a path is written."""
_NUMBER: Final = "^-?[0-9]"
_PLAIN: Final = "^-?[0-9]{1,15}$"


@dataclass(frozen=True)
class Wanted:
    """One shape of a mapping.

    Attributes:
        plan: by which its events are read.
        number: of the shape, from 0.
        others: lists of whose lines other shapes make events, wherever this one takes the row; nothing is left here.
    """

    shape: Shape
    plan: Plan
    number: int
    others: tuple[Path, ...]

    @property
    def lines(self) -> Path:
        """The list that is exploded; empty for none."""
        return self.shape.lines

    @cached_property
    def targets(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Targets of each field: by path, and of each path those of which the first that is there counts."""
        named = {name: tuple(map(_targets, paths_of(source))) for name, source in self.shape.fields.items()}
        implicit = {name: ((name,),) for name in self._implicit}
        found: dict[str, tuple[tuple[str, ...], ...]] = {**implicit, **named}
        found.pop(PROPERTIES, None)
        return found

    def joins(self, field: str) -> str | None:
        """What the values of a field's paths are joined by, if they are."""
        source = self.shape.fields.get(field)
        return source.join if isinstance(source, From) else None

    @property
    def nulls(self) -> tuple[str, ...]:
        """Texts that stand for nothing."""
        return self.plan.mapping.format.nulls

    @property
    def own_id(self) -> bool:
        """Whether each line has an id of its own."""
        source = self.shape.fields.get("event_id")
        return source is not None and any(lines_of(parse_path(path)) for path in paths_of(source))

    @cached_property
    def _implicit(self) -> list[str]:
        """Fields that feed themselves: those of which nothing else is said, and whose name begins no path."""
        given = {*self.shape.fields, *self.shape.constants, *self.plan.mapping.drop}
        begun = {parse_path(path)[0].name for source in self.shape.fields.values() for path in paths_of(source)}
        return [field.name for field in FIELDS if field.name not in given | (begun - {PROPERTIES})]

    @cached_property
    def tree(self) -> Node:
        """What is wanted of the row."""
        tree = Node()
        for list_path in self.others:
            tree.at(_apart(list_path, self.lines)).keeps = False
        for path in self.plan.mapping.drop:
            if path != EVERYTHING:
                tree.at(parse_path(path)).keeps = False
        for name in self._implicit:
            node = tree.at((Step("key", name),))
            if name == PROPERTIES:
                node.bag = True
            else:
                node.targets.append(name)
                node.scalar, node.keeps = True, False
        for name, source in self.shape.fields.items():
            for path in paths_of(source):
                self._want(tree, name, path)
        if self.lines:
            tree.at(self.lines)
        look(tree, self.shape.where or ())
        return tree

    def _want(self, tree: Node, name: str, text: str) -> None:
        path = parse_path(text)
        if name == PROPERTIES:
            tree.at(path).bag = True
            return
        wanted = [(path, text)]
        if _dotted(text):
            wanted.append(((Step("key", text),), _EXACT + text))
        for steps, target in wanted:
            if target not in tree.at(steps).targets:
                tree.want(steps, target)

    @cached_property
    def list_names(self) -> tuple[str, ...]:
        """Under which names what is left of a line is kept, by list, outermost first."""
        ends = [at for at, step in enumerate(self.lines) if step == EACH]
        return tuple(shown(self.lines[:at]) for at in ends)

    @property
    def keeps_rest(self) -> bool:
        """Whether what feeds no field is kept."""
        return EVERYTHING not in self.plan.mapping.drop


def _apart(path: Path, lines: Path) -> Path:
    """The first list of a path that is not among those that are exploded."""
    ends = [at for at, step in enumerate(path) if step == EACH]
    return path[: next(at for at in ends if path[: at + 1] != lines[: at + 1])]


def _targets(path: str) -> tuple[str, ...]:
    return (_EXACT + path, path) if _dotted(path) else (path,)


def _dotted(path: str) -> bool:
    steps = parse_path(path)
    return len(steps) > 1 and not any(step in {EACH, NUMBER} for step in steps) and '"' not in path


def wanted_of(mapping: Mapping, plan: Plan) -> list[Wanted]:
    """The shapes of a mapping."""
    found = []
    for number, shape in enumerate(mapping.shapes):
        own = replace(mapping, fields=shape.fields, constants=shape.constants, events=(), skip=())
        whole = [other for other in mapping.shapes if other.lines and not other.where]  # no line is passed over
        lists = {other.lines for other in whole if _takes_all_of(other.when, shape.when)}
        others = tuple(sorted(path for path in lists if path != shape.lines[: len(path)]))
        found.append(Wanted(shape, Plan(own, plan.now_ms, plan.typed), number, others))
    return found


def _takes_all_of(other: Condition | str | None, own: Condition | str | None) -> bool:
    """Whether a shape surely takes each row that another takes, by what they say in `when`."""
    if not isinstance(other, tuple) or not isinstance(own, tuple):
        return other is None or other == own
    said = dict(own)
    return all(_within(said.get(path, (None, THERE)), wanted) for path, wanted in other)


def _within(values: tuple[str | None, ...], wanted: tuple[str | None, ...]) -> bool:
    return all(value in wanted or (value is not None and THERE in wanted) for value in values)


@dataclass(frozen=True)
class Conditions:
    """What decides which shapes take a row."""

    mapping: Mapping

    @cached_property
    def all(self) -> list[Condition]:
        """Those of shapes, then those of rows that are skipped."""
        skip = [when for when in self.mapping.skip if isinstance(when, tuple)]
        whens = [*(shape.when for shape in self.mapping.shapes), *skip]
        return [when if isinstance(when, tuple) else () for when in whens]

    @cached_property
    def tree(self) -> Node:
        """What they look at."""
        tree = Node()
        look(tree, [pair for condition in self.all for pair in condition])
        return tree

    def hold(self, said: AbstractMapping[str, Any]) -> list[bool]:
        """Which of all hold of what a row says, by target, absent ones left out."""
        return [holds(condition, said) for condition in self.all]

    def columns(self, said: AbstractMapping[str, Cells], height: int) -> list[pl.Series]:
        """The same for rows: a column for each."""
        return [held(condition, said, height) for condition in self.all]

    @property
    def skips_others(self) -> bool:
        """Whether rows that no shape takes are skipped."""
        return OTHERWISE in self.mapping.skip

    def shapes(self, true: Sequence[bool]) -> list[int]:
        """The shapes that take a row of which these hold; none for one that is skipped."""
        whens = [shape.when for shape in self.mapping.shapes]
        if any(true[len(whens) :]):
            return []
        found = [number for number, when in enumerate(whens) if when != OTHERWISE and true[number]]
        if not any(whens[number] is not None for number in found):
            found += [number for number, when in enumerate(whens) if when == OTHERWISE]
        return sorted(found)


def look(tree: Node, condition: Iterable[tuple[str, tuple[str | None, ...]]]) -> None:
    """Want to see what a condition asks for."""
    for path in dict.fromkeys(path for path, _ in condition):
        for target, steps in ((path, parse_path(path)), (_EXACT + path, (Step("key", path),))):
            if target == path or _dotted(path):
                tree.look(steps, target)


def holds(condition: Condition, said: AbstractMapping[str, Any]) -> bool:
    """Whether a condition holds of what a row says, by target, absent ones left out."""
    return all(_is(said.get(_EXACT + path, said.get(path)), wanted) for path, wanted in condition)


def _is(value: Any, wanted: tuple[str | None, ...]) -> bool:
    if value is None:
        return None in wanted
    return THERE in wanted or (value if isinstance(value, str) else literal(value)) in wanted


def held(condition: Condition, said: AbstractMapping[str, Cells], height: int) -> pl.Series:
    """The same for rows."""
    found = all_of(value=True, height=height)
    for path, wanted in condition:
        found &= _held(_first(path, said, height), wanted)
    return found


def doubtful(condition: Condition, said: AbstractMapping[str, Cells], height: int) -> pl.Series:
    """Rows of which `held` may not be believed: their numbers have been through a double."""
    found = all_of(value=False, height=height)
    for path, _ in condition:
        for target in _targets(path):
            if target in said:
                text, quoted = said[target]
                found |= (~quoted & text.str.contains(_NUMBER) & ~text.str.contains(_PLAIN)).fill_null(value=False)
    return found


def _first(path: str, said: AbstractMapping[str, Cells], height: int) -> pl.Series:
    there = [said[target].text for target in _targets(path) if target in said]
    return pl.select(pl.coalesce(there)).to_series() if there else nothing(height)


def _held(text: pl.Series, wanted: tuple[str | None, ...]) -> pl.Series:
    values = [value for value in wanted if value is not None]
    there = text.is_not_null() if THERE in wanted else text.is_in(values)
    return there.zip_with(text.is_not_null(), all_of(value=None in wanted, height=text.len()))
