"""What each step of an event costs on texts that were made to be slow: 64 KB, the longest that a field may have."""

import json
from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from benchmarks.measure import cpu_of, table
from ecompulse.io.lookups.cache import CachedLookup
from ecompulse.io.lookups.functions import Computed
from ecompulse.kernels.decode import Decoded, decode
from ecompulse.kernels.enrich import device, geo, pii
from ecompulse.kernels.enrich.campaign import CampaignStep
from ecompulse.kernels.enrich.dead_letters import protect_dead_letters
from ecompulse.kernels.enrich.pii import PiiStep
from ecompulse.kernels.event import DEAD_LETTER_SCHEMA, MAX_FIELD_BYTES, RAW_SCHEMA

BOUND_MS: Final = 30.0
"""Of one step of one event whose seven texts are all such ones, on average over ROWS events."""

ROWS: Final = 10
SIZE: Final = MAX_FIELD_BYTES - 1024  # of properties there is a name, and escapes
NOW: Final = 1_772_400_000_000  # UTC ms
_FIELDS: Final = ("user_agent", "url", "referrer", "query", "category", "ip", "unknown")
_POLICY: Final = PiiStep(
    emails="hash", ip="hash", fields={"query": "hash", "properties.unknown": "hash"}, key="env:KEY"
)
TEXTS: Final[Mapping[str, str]] = {
    "letters": "a",
    "spaces": " ",
    "digits and dots": "1.",
    "brackets": "(",
    "quotes": "'",
    "backslashes": "\\",
    "no ASCII": "\N{LATIN SMALL LETTER A WITH DIAERESIS}",
    "half addresses of mail": "a@",
    "addresses of mail": "a@b.cc ",
    "escaped @": "a%40b.cc/",
    "network addresses": "1.2.3.4 ",
    "colons": "ab:",
    "parameters": "https://a.example/?utm_source=x&gclid=y;",
    "half browsers": "Mozilla/5.0 (Linux; Android 9; ",
    "device models": "; HTC_Build/",
}


def run() -> None:
    """Measure and print the worst text of each step."""
    worst: dict[str, tuple[float, str]] = {}
    for name, piece in TEXTS.items():
        text = (piece * SIZE).encode()[:SIZE].decode(errors="ignore")
        for step, body in _steps(text).items():
            body()  # patterns are compiled once
            worst[step] = max(worst.get(step, (0.0, "")), (cpu_of(body) / ROWS * 1000, name))
    table(
        ("step", "CPU ms per event", "worst on", f"below {BOUND_MS:.0f} ms"),
        [(step, f"{cost:.2f}", name, "yes" if cost < BOUND_MS else "NO") for step, (cost, name) in worst.items()],
    )


def _steps(text: str) -> dict[str, Callable[[], object]]:
    events, letters = _decoded(text).events, _letters(text)
    if events.is_empty():
        events = _decoded(text[: SIZE // 2 - 1]).events  # its escapes make it twice as long
    agents = pl.Series([f"{number}{text}"[: device.LONGEST] for number in range(ROWS)])
    found = CachedLookup(Computed(device.AGENT, device.parse_agents), "fail")
    return {
        "decode": lambda: _decoded(text),
        "geo": lambda: geo.GeoStep().apply(events, {}),
        "device, a parser's part": lambda: device.parse_agents(agents),
        "device, once parsed": lambda: device.DeviceStep().apply(events, {device.AGENTS: found}),
        "campaign": lambda: CampaignStep().apply(events, {}),
        "pii": lambda: pii.hide(events, _POLICY, "key"),
        "dead letters under a policy": lambda: protect_dead_letters(letters, letters["message"], _POLICY, "key"),
    }


def _decoded(text: str) -> Decoded:
    return decode(_raw(text), NOW)


def _raw(text: str) -> pl.DataFrame:
    event = {"event_type": "page_view", "event_time": "2026-03-01T00:00:00Z", "user_id": "u"}
    fields = dict.fromkeys(_FIELDS, text)
    lines = [
        json.dumps({**event, **fields, "event_id": f"e{number}"}, ensure_ascii=False).encode() for number in range(ROWS)
    ]
    return pl.DataFrame(
        {"raw": lines, "source": "f", "source_partition": 0, "source_offset": range(ROWS)}, schema_overrides=RAW_SCHEMA
    )


def _letters(text: str) -> pl.DataFrame:
    said = {"rule": "wrong_type", "message": f"price: wants a number, has '{text}", "seen_at": NOW}
    named = _raw(text).with_columns(pl.lit(value).alias(name) for name, value in said.items())
    return named.cast(DEAD_LETTER_SCHEMA)  # type: ignore[arg-type]  # a schema is a mapping
