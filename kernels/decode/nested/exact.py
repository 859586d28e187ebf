"""What is wanted of one row, taken from its parsed JSON: the definition that the columns must equal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ecompulse.kernels.decode.rules import BrokenRule
from ecompulse.kernels.decode.strict_json import literal, parse
from ecompulse.kernels.foreign.paths import EACH, NUMBER, Node, Path, Step

_WITHIN: Final = ("{", "[")


@dataclass
class Taken:
    """What was taken of a row.

    Attributes:
        values: by target; absent ones and nulls are left out.
        bag: what is left of the object that feeds `properties`.
        lines: what is left of the line in each list that is exploded, innermost first; None for nothing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    bag: dict[str, Any] | None = None
    lines: list[Any] = field(default_factory=list)


def opened(value: Any) -> Any:
    """A value, or the object or list that its text holds: tables keep JSON in columns of text."""
    if isinstance(value, str) and value.lstrip(" \t\r\n").startswith(_WITHIN):
        try:
            return parse(value)
        except BrokenRule:
            return value
    return value


def take(node: Node, value: Any, lines: Sequence[int], taken: Taken) -> Any:
    """Take what is wanted of a value; what is left of it, None for nothing.

    Args:
        node: what is wanted.
        value: not null.
        lines: the element of each list that is exploded, outermost first.
        taken: gets the values.
    """
    if node.scalar and isinstance(value, dict | list):
        return value
    for target in node.targets:
        taken.values[target] = value
    rest = _within(node, value, lines, taken) if node.children else value
    if node.bag and isinstance(inner := opened(rest), dict):
        taken.bag, rest = inner, None
    return rest if node.keeps else None


def _within(node: Node, value: Any, lines: Sequence[int], taken: Taken) -> Any:
    inside = opened(value)
    if isinstance(inside, dict):
        children = {step.name: child for step, child in node.children.items() if step.kind == "key"}
        return _members(children, inside, lines, taken) if children else value
    steps = [step for step in node.children if step.kind in {"index", "where"}]
    if isinstance(inside, list) and (EACH in node.children or NUMBER in node.children):
        _elements(node, steps, inside, lines, taken)  # of which the line keeps what is left
        if lines:
            _line(node, inside, lines, taken)
        return None
    return _elements(node, steps, inside, lines, taken) if isinstance(inside, list) and steps else value


def _members(children: dict[str, Node], inside: dict[str, Any], lines: Sequence[int], taken: Taken) -> Any:
    rest: dict[str, Any] = {}
    for key, item in inside.items():
        if item is not None:
            left = take(children[key], item, lines, taken) if key in children else item
            if left is not None:
                rest[key] = left
    return rest or None


def _line(node: Node, inside: list[Any], lines: Sequence[int], taken: Taken) -> None:
    at, *further = lines
    for target in node.children.get(NUMBER, Node()).targets:
        taken.values[target] = at + 1
    there = EACH in node.children and inside[at] is not None
    taken.lines.append(take(node.children[EACH], inside[at], further, taken) if there else None)


def _elements(node: Node, steps: list[Step], inside: list[Any], lines: Sequence[int], taken: Taken) -> Any:
    left: list[Any] = list(inside)
    gone = set[int]()
    for step in steps:
        at = chosen(step, inside)
        if at is not None:
            rest = None if left[at] is None else take(node.children[step], left[at], lines, taken)
            left[at] = rest
            if rest is None:
                gone.add(at)
    kept = [item for at, item in enumerate(left) if at not in gone]
    return kept or None


def chosen(step: Step, inside: list[Any]) -> int | None:
    """Which element of a list a step means; None for none."""
    if step.kind == "index":
        at = int(step.value) + (len(inside) if int(step.value) < 0 else 0)
        return at if 0 <= at < len(inside) else None
    for at, item in enumerate(inside):
        if isinstance(item, dict) and _said(item.get(step.name)) == step.value:
            return at
    return None


def _said(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return literal(value)


def lines_in(value: Any, path: Path) -> Iterator[tuple[int, ...]]:
    """The lines of the list at a path, each by its place in every list on the way."""
    value = opened(value)
    if not path:
        yield ()
        return
    step, rest = path[0], path[1:]
    if step == EACH:
        if isinstance(value, list):
            for at, item in enumerate(value):
                for further in lines_in(item, rest):
                    yield at, *further
    elif step.kind == "key" and isinstance(value, dict):
        yield from lines_in(value.get(step.name), rest)
    elif step.kind in {"index", "where"} and isinstance(value, list):
        place = chosen(step, value)
        if place is not None:
            yield from lines_in(value[place], rest)
