"""Paths into a row: keys, elements of lists, members of key-value lists, and the lines of a list.

customer.id                                 a key in a key
context."page.url"                          a key with a point in it
items[0].sku   items[-1].sku                an element, from the start or from the end
event_params[key=page].value.string_value   the first element whose key says so
line_items[].price                          of each element: one event a line
line_items[#]                               which line it is, from 1
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_PART: Final = re.compile(
    r"""(?P<key>[^.\[\]"]+)|"(?P<quoted>[^"]+)"|\[(?P<each>)\]|\[(?P<number>\#)\]|\[(?P<index>-?[0-9]+)\]"""
    r"""|\[(?P<where>[^\]="]+)=(?:"(?P<string>[^"]*)"|(?P<value>[^\]"]*))\]"""
)


class Step(NamedTuple):
    """One step of a path.

    Attributes:
        kind: `key`, `index`, `where`, `each` or `number`.
        name: of the key; of `where` the key that is compared.
        value: the index; of `where` what the key must hold.
    """

    kind: str
    name: str = ""
    value: str | int = ""


EACH: Final = Step("each")
NUMBER: Final = Step("number")

Path = tuple[Step, ...]


def parse_path(text: str) -> Path:
    """The steps of a path; a text that is none is a key as it stands."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        if steps and text[at] == ".":
            at += 1
        found = _PART.match(text, at)
        bracket = bool(found) and text[at] == "["
        if not found or (bracket and not steps) or (not bracket and steps and text[at - 1] != "."):
            return (Step("key", text),)
        steps.append(_step(found))
        at = found.end()
    return tuple(steps) if steps and text[-1] != "." else (Step("key", text),)


def _step(found: re.Match[str]) -> Step:
    group = found.lastgroup
    if found["key"] is not None or found["quoted"] is not None:
        return Step("key", found["key"] or found["quoted"])
    if found["where"] is not None:
        return Step("where", found["where"], found["string"] if found["string"] is not None else found["value"])
    if found["index"] is not None:
        return Step("index", value=int(found["index"]))
    return EACH if group == "each" else NUMBER


def is_plain(text: str) -> bool:
    """Whether a text names a key of the row and nothing within it."""
    steps = parse_path(text)
    return len(steps) == 1 and steps[0].kind == "key" and steps[0].name == text


def lines_of(path: Path) -> Path:
    """The part of a path up to the last of its `[]`; empty where there is none. `[#]` is of its list's lines."""
    path = tuple(EACH if step == NUMBER else step for step in path)
    last = max((at for at, step in enumerate(path) if step == EACH), default=-1)
    return path[: last + 1]


def shown(path: Path) -> str:
    """The text of a path without `[]`."""
    parts = {"key": ".{0.name}", "index": "[{0.value}]", "where": "[{0.name}={0.value}]"}
    return "".join(parts.get(step.kind, "").format(step) for step in path).removeprefix(".")


@dataclass
class Node:
    """What is wanted of a value, and of what is in it.

    Attributes:
        targets: names under which the value itself is wanted.
        children: by step.
        keeps: whether what is not taken of the value stays among the rest; not so of a value that is taken whole.
        scalar: it is wanted only where it is neither an object nor a list.
        bag: what is left of it is `properties`.
    """

    targets: list[str] = field(default_factory=list)
    children: dict[Step, "Node"] = field(default_factory=dict)
    keeps: bool = True
    scalar: bool = False
    bag: bool = False

    def at(self, path: Path) -> "Node":
        """The node of a path, made if need be."""
        node = self
        for step in path:
            fresh = step not in node.children
            node = node.children.setdefault(step, Node())
            if fresh and step.kind == "where":  # what chose the element says nothing more
                node.at((Step("key", step.name),)).keeps = False
        return node

    def want(self, path: Path, target: str) -> None:
        """Want the value at a path, whole."""
        node = self.at(path)
        node.targets.append(target)
        node.keeps = False

    def look(self, path: Path, target: str) -> None:
        """Want to see the value at a path, which stays."""
        self.at(path).targets.append(target)
