"""A search of all files that jobs leave for values that nobody should find there."""

import gzip
import io
import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

HIDDEN = ("user_id", "anonymous_id", "session_id", "device_id", "order_id", "payment_id", "card_id", "ip", "user_agent")
"""Fields of the simulated shop that the policy of this search hides, and the personal data added to it below."""

POLICY: dict[str, Any] = {
    "key": "env:PII_KEY",
    "ip": "hash",
    "emails": "hash",
    "fields": {
        **dict.fromkeys(set(HIDDEN) - {"ip", "user_agent"}, "hash"),
        "user_agent": "drop",
        "query": "mask",
        "properties.phone": "mask",
        "user_name": "hash",
    },
}


def with_personal_data(line: str, number: int) -> str:
    """A line of the shop with a phone, a searched name, and addresses of mail in a text, a URL and a user's id."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or number % 3:
        return line
    who = event.get("user_id") or event.get("anonymous_id") or number
    mail = f"mail.{who}@personal.example"
    event |= {"phone": f"+49 170 {number:07d}", "query": f"gift for Margarete {who}", "note": f"write to {mail} soon"}
    event["url"] = f"{event.get('url', 'https://shop.example/')}?mail={quote(mail)}"
    return json.dumps(event)


def hidden_values(lines: Iterable[str]) -> set[str]:
    """What the policy hides of these lines, in every form that a step could have given it."""
    found: set[str] = set()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found |= {event[name] for name in HIDDEN if isinstance(event.get(name), str)}
            found |= {event["query"]} if "Margarete" in str(event.get("query")) else set()
            found |= {event[name] for name in ("phone", "name", "email") if name in event}
            found |= {word for word in str(event.get("note")).split() if "@" in word}
    return {form for value in found if _telling(value) for form in _forms(value)}


def _telling(value: str) -> bool:
    """Whether a value cannot stand somewhere by chance."""
    return len(value) >= 9 and not value.isalpha()


def _forms(value: str) -> Iterator[str]:
    yield value
    yield value.lower()
    yield quote(value)
    yield json.dumps(value)[1:-1]
    try:
        yield str(ipaddress.ip_address(value))
    except ValueError:
        return


def clear_values(text: bytes, values: Iterable[str]) -> set[str]:
    """Those of the values that stand in a content, be it text, Parquet, Arrow or gzip."""
    wanted = {value.encode().decode("latin-1"): value for value in values}
    parts = pl.Series([part.decode("latin-1") for part in (text, *_decoded(text))])
    found = parts.str.extract_many(list(wanted), overlapping=True).explode(empty_as_null=False)
    return {wanted[value] for value in found.drop_nulls()}


def _decoded(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"PAR1"):
        yield _rows(pl.read_parquet(io.BytesIO(content)))
    elif content.startswith(b"ARROW1"):
        yield _rows(pl.read_ipc(io.BytesIO(content)))
    elif content.startswith(b"\xff\xff\xff\xff"):
        yield _rows(pl.read_ipc_stream(io.BytesIO(content)))
    elif content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)


def _rows(frame: pl.DataFrame) -> bytes:
    """All values as text, one after the other; of bytes the bytes themselves."""
    whole = frame.with_columns(pl.col(pl.Binary).map_elements(lambda data: data.decode("latin-1"), pl.String))
    return whole.write_ndjson().encode()


def searched(folder: Path, values: Iterable[str]) -> dict[Path, set[str]]:
    """Files below a folder in which any of the values stands, and which."""
    values = set(values)
    found = {path: clear_values(path.read_bytes(), values) for path in folder.rglob("*") if path.is_file()}
    return {path: there for path, there in found.items() if there}


def modes(folder: Path) -> Mapping[str, set[int]]:
    """Modes of the files and folders from a folder down."""
    paths = [folder, *folder.rglob("*")]
    return {
        kind: {path.stat().st_mode & 0o777 for path in paths if path.is_dir() == (kind == "folders")}
        for kind in ("files", "folders")
    }
