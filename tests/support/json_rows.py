"""Rows of JSON that are mostly good events: odd numbers, odd text, keys twice, unknown keys."""

import json
from typing import Any

from hypothesis import strategies as st

from ecompulse.kernels.event import FIELDS, Kind

KINDS = {field.name: field.kind for field in FIELDS}

text = st.text(max_size=8) | st.sampled_from(
    ["", 'a"b', "\\", "\\u001f", "a\x1fb", "\u2028", "NaN", "null", "é", "1,]"]
)
literal = (
    st.integers(-(10**20), 10**20).map(str)
    | st.integers(-99, 99).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.decimals(-(10**10), 10**10, places=5).map(str)
    | st.builds("{}.{}".format, st.integers(-99, 9999), st.from_regex(r"[0-9]{1,25}", fullmatch=True))
    | st.builds("{}e{}".format, st.integers(-99, 99), st.integers(-30, 30))
    | st.sampled_from(
        [
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "inf",
            "1e400",
            "-0",
            "-0.0",
            "2.0",
            "2.5",
            "0.00005",
            "1.00015",
            "0.00001",
            "01",
            "1.",
        ]
    )
    | st.sampled_from([str(2**63), str(2**64), "1" * 301, "1" * 310])
)


class Raw(str):
    """Text that stands in JSON as it is."""

    __slots__ = ()


def written(value: Any, space: str) -> str:
    """JSON text of nested values with Raw numbers, pairs as objects, and odd white space."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, list):
        return "[" + f",{space}".join(written(item, space) for item in value) + "]"
    if isinstance(value, tuple):
        inside = f",{space}".join(f"{written(key, '')}{space}:{space}{written(item, space)}" for key, item in value)
        return "{" + space + inside + "}"
    return json.dumps(value, ensure_ascii=isinstance(value, str) and len(value) % 2 == 0)


scalar = text | literal.map(Raw) | st.none() | st.booleans()
nested = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(text, inner), max_size=3).map(tuple),
    max_leaves=6,
)
event_time = (
    st.sampled_from(
        [
            "2023-01-01T00:00:00Z",
            "2023-01-01 00:00:00.1239+02:00",
            "2023-01-01T00:00-0530",
            "2023-01-01T00:00:00",
            "2023-02-30T00:00:00Z",
            "1989-12-31T23:59:59Z",
            "2023-12-31T00:00:00Z",
            "2023-01-01T00:00:60Z",
            "2023-01-01t00:00:61.5z",
            "2023-01-01t00:00:00.5z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:00.123456789+05",
            "2023-1-1T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2023-01-01T00:00:00+24:00",
            "2023-01-01T00:00:00.Z",
            "1672531200000",
        ]
    )
    | st.sampled_from(
        [
            "1672531200000",
            "1672531200000.0",
            "1672531200000.5",
            "1.6725312e12",
            "0",
            "1672531200",
            "99999999999999999999",
        ]
    ).map(Raw)
    | st.none()
)
NAMES = {
    Kind.TEXT: text,
    Kind.MONEY: literal.map(Raw),
    Kind.INTEGER: literal.map(Raw),
    Kind.TIME: event_time,
    Kind.OBJECT: st.lists(st.tuples(text, nested), max_size=4).map(tuple),
}


@st.composite
def json_rows(draw: st.DrawFn) -> bytes:
    """Mostly a good event, with some fields odd, some unknown, some twice."""
    members: list[tuple[str, Any]] = [("event_id", "e"), ("event_type", "purchase"), ("user_id", "u")]
    members.append(("event_time", draw(st.just("2023-01-01T00:00:00Z") | event_time)))
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=4))
    members += [(name, draw(NAMES[KINDS[name]] if draw(st.integers(0, 9)) else nested)) for name in names]
    members += draw(st.lists(st.tuples(text | st.sampled_from(["Price", "x", "a/b", "~", "'"]), nested), max_size=2))
    if draw(st.integers(0, 9)):
        members = list(dict(members).items())
    return written(tuple(members), draw(st.sampled_from(["", " ", "\t"]))).encode("utf-8", "surrogatepass")
