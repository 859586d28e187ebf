"""YAML without its surprises: no key twice, and where it is asked for, nothing but what is written."""

from collections.abc import Collection, Hashable
from typing import Any

import yaml


def load_yaml(text: str, switches: Collection[str] | None = None) -> object:
    """Plain data of one YAML document.

    With `switches` a word or number that YAML takes for another than is written (`no`, `010`, `1_000`, `12:30`, `1.10`)
    is refused, but as the value of one of these keys, which are on or off.

    >>> load_yaml("{lenient: no}", switches=["lenient"])
    {'lenient': False}

    Raises:
        yaml.YAMLError: it is none, a key is given twice, or something is refused; mostly with a mark.
        ValueError: what looks like a date is none.
        RecursionError: it is nested too deeply.
    """
    loader = _StrictLoader(text) if switches is None else _LiteralLoader(text, switches)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, where YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a mapping or a list is no key; a text that begins with { or [ needs quotes",
                    problem_mark=key_node.start_mark,
                )
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key_node.value!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


class _LiteralLoader(_StrictLoader):
    """The same, which refuses a word or number that YAML reads as another, but where a key is on or off."""

    def __init__(self, text: str, switches: Collection[str]) -> None:
        super().__init__(text)
        self._switches = switches
        self._switched: set[int] = set()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self._switched |= {id(value) for key, value in node.value if key.value in self._switches}
        return super().construct_mapping(node, deep)

    def construct_as_written(self, node: yaml.ScalarNode) -> object:
        value = yaml.SafeLoader.yaml_constructors[node.tag](self, node)
        if str(value).lower() != node.value.lower() and id(node) not in self._switched:
            read = str(value).lower()
            raise yaml.MarkedYAMLError(
                problem=f"YAML reads {node.value} as {read}; put it in quotes, or write {read}",
                problem_mark=node.start_mark,
            )
        return value


for _tag in ("bool", "int", "float", "timestamp"):
    _LiteralLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _LiteralLoader.construct_as_written)
