"""A place database of the simulated shop's own networks, in MaxMind's format (mmdb): which country has an address.

The format: a binary tree over the bits of an address, two 24-bit pointers a node; then the data that leaves point to;
then what the file says of itself. https://maxmind.github.io/MaxMind-DB/
"""

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecompulse.simulator.places import COUNTRIES

_SEPARATOR: Final = bytes(16)  # between the tree and the data
_MARKER: Final = b"\xab\xcd\xefMaxMind.com"
_V4: Final = 96  # IPv4 stands below ::/96
_POINTER_BITS: Final = 24
_SHORT: Final = 29  # bytes whose number fits beside the type

_TEXT, _MAP, _U16, _U32, _U64, _LIST = 2, 7, 5, 6, 9, 11

Node = list[Any]
"""Two children: None, another node, or the position of a leaf's data."""


def write_atlas(path: Path) -> None:
    """Write the database: `country_code` of every network that the simulator takes addresses from."""
    root: Node = [None, None]
    data, positions = b"", dict[str, int]()
    for country in COUNTRIES:
        positions[country.code] = len(data)
        data += _encoded({"country_code": country.code})
        for text in (country.v4, country.v6):
            _insert(root, text, positions[country.code])
    tree, nodes = _tree(root)
    path.write_bytes(tree + _SEPARATOR + data + _MARKER + _encoded(_metadata(nodes)))


def _insert(root: Node, text: str, leaf: int) -> None:
    network = ipaddress.ip_network(text)
    length = network.prefixlen + (_V4 if network.version == 4 else 0)  # noqa: PLR2004
    bits = [(int(network.network_address) >> (127 - depth)) & 1 for depth in range(length)]
    node = root
    for bit in bits[:-1]:
        if node[bit] is None:
            node[bit] = [None, None]
        node = node[bit]
    node[bits[-1]] = leaf


def _tree(root: Node) -> tuple[bytes, int]:
    """The tree as bytes, nodes numbered in the order in which they are met, and how many there are."""
    numbered, place = [root], {id(root): 0}
    for node in numbered:  # which grows
        for child in node:
            if isinstance(child, list):
                place[id(child)] = len(numbered)
                numbered.append(child)
    count = len(numbered)

    def pointer(child: Any) -> bytes:
        if child is None:
            return count.to_bytes(_POINTER_BITS // 8, "big")
        at = place[id(child)] if isinstance(child, list) else count + len(_SEPARATOR) + child
        return int(at).to_bytes(_POINTER_BITS // 8, "big")

    return b"".join(pointer(child) for node in numbered for child in node), count


def _metadata(nodes: int) -> Mapping[str, Any]:
    return {
        "binary_format_major_version": (_U16, 2),
        "binary_format_minor_version": (_U16, 0),
        "build_epoch": (_U64, 1_756_684_800),
        "database_type": "ecompulse-simulator-Country",
        "description": {"en": "Networks of the simulated shop"},
        "ip_version": (_U16, 6),
        "languages": ["en"],
        "node_count": (_U32, nodes),
        "record_size": (_U16, _POINTER_BITS),
    }


def _encoded(value: Any) -> bytes:
    """A value as the format has it: texts, maps, lists, and numbers as (type, number)."""
    if isinstance(value, str):
        text = value.encode()
        return _control(_TEXT, len(text)) + text
    if isinstance(value, tuple):
        kind, number = value
        raw: bytes = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return _control(kind, len(raw)) + raw
    if isinstance(value, list):
        return _control(_LIST, len(value)) + b"".join(map(_encoded, value))
    pairs = b"".join(_encoded(key) + _encoded(each) for key, each in value.items())
    return _control(_MAP, len(value)) + pairs


def _control(kind: int, size: int) -> bytes:
    first, more = (size, b"") if size < _SHORT else (_SHORT, struct.pack("B", size - _SHORT))
    if kind > 7:  # noqa: PLR2004  # kinds that do not fit into three bits stand behind
        return struct.pack("BB", first, kind - 7) + more
    return struct.pack("B", kind << 5 | first) + more
