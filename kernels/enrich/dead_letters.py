"""Dead letters under a PII policy: bytes that nobody could decode may hold anything."""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from ecompulse.kernels.enrich.pii import IDENTIFIERS, Action, PiiStep, hide_emails, protect


def protect_dead_letters(
    letters: pl.DataFrame,
    bare: pl.Series,
    policy: PiiStep,
    key: str | None,
    aliases: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Dead letters (DEAD_LETTER_SCHEMA) as they may be stored; the same schema, rows and order.

    `raw` that is a JSON object with no key given twice keeps its form, with the policy applied to its fields, at
    any depth; anything else becomes `{"redacted":true,"bytes":length,"hash":...}`: keyed HMAC-SHA256 if there
    is a key, else SHA-256. A redacted row cannot be replayed from here; its position says where to read it
    again. `message` becomes that of `bare`, which tells no value at all. `aliases` maps raw names to the event's where
    a mapping is in force. Python sees each letter: dead letters are few.
    """
    if not policy.active:
        return letters
    names = dict(_leaves(policy))
    for alias, name in (aliases or {}).items():
        if name.rpartition(".")[2] in names:
            names[alias] = names[name.rpartition(".")[2]]
    raw = [None if row is None else protect_raw(row, names, policy.emails, key) for row in letters["raw"]]
    return letters.with_columns(
        pl.Series("raw", raw, dtype=pl.Binary()),
        bare.alias("message"),
    )


def protect_raw(raw: bytes, names: Mapping[str, Action], emails: Action | None, key: str | None) -> bytes:
    """One row's bytes: the fields `names` and emails in all texts protected, or `redacted`."""
    try:
        event = json.loads(raw.decode(), object_pairs_hook=_once, parse_float=_finite)
        json.dumps(event, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return redacted(raw, key)
    if not isinstance(event, dict):
        return redacted(raw, key)
    safe = _walk("", event, names, emails, key)
    return raw if _dump(safe) == _dump(event) else _dump(safe).encode()


def redacted(raw: bytes, key: str | None) -> bytes:
    """What is kept of bytes that cannot be decoded: length and hash."""
    digest = hmac.new(key.encode(), raw, hashlib.sha256) if key else hashlib.sha256(raw)
    return _dump({"redacted": True, "bytes": len(raw), "hash": digest.hexdigest()}).encode()


def _leaves(policy: PiiStep) -> list[tuple[str, Action]]:
    """Names as a raw event may have them: `properties.x` may stand at the top as `x`."""
    named = [(name.rpartition(".")[2], action) for name, action in policy.fields.items()]
    return [("ip", policy.ip), *named] if policy.ip is not None else named


def _walk(name: str, value: Any, names: Mapping[str, Action], emails: Action | None, key: str | None) -> Any:
    if name in names and value is not None:
        text = value if isinstance(value, str) else _dump(value)
        return protect(pl.Series(name, [text]), names[name], key).item()
    if isinstance(value, dict):
        return {_text("", k, emails, key): _walk(k, item, names, emails, key) for k, item in value.items()}
    if isinstance(value, list):
        return [_walk("", item, names, emails, key) for item in value]
    return _text(name, value, emails, key) if isinstance(value, str) else value


def _text(name: str, value: str, emails: Action | None, key: str | None) -> str:
    if emails is None or not ("@" in value or "%40" in value):
        return value
    hidden = hide_emails(pl.Series([value]), "hash" if name in IDENTIFIERS else emails, key)
    return str(hidden.item())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one with a key given twice could not be written again as it was."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
