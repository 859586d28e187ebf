"""Quality counts equal a plain count of the rows, however the rows are cut."""

import json
from collections import Counter
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Decoded, Rule, decode_json
from ecompulse.kernels.event import EVENT_TYPES, FIELDS, PAYMENT_STATUSES, RAW_SCHEMA
from ecompulse.kernels.quality import QUALITY_SCHEMA, merge_quality, quality_counts
from support.examples import examples

HOUR = 3_600_000
BASE = 1_699_999_200_000  # a full hour
NOW = BASE + 10 * HOUR
FIRST_OPEN = BASE + 2 * HOUR
OPTIONAL = [field.name for field in FIELDS if not field.required]

row = st.fixed_dictionaries(
    {"event_time": st.integers(0, 5 * HOUR).map(lambda at: BASE + at) | st.just("soon")},
    optional={
        "event_type": st.sampled_from([*EVENT_TYPES, "teleport"]),
        "payment_status": st.sampled_from([*PAYMENT_STATUSES, "odd"]),
        "price": st.sampled_from([1, "x", 10**20, None]),
        "brand": st.sampled_from(["a", None]),
    },
).map(lambda fields: {"event_id": "e", "event_type": "login", "user_id": "u", **fields})


def decoded(rows: list[dict[str, object]]) -> Decoded:
    raw = [json.dumps(item).encode() for item in rows]
    columns = {"raw": raw, "source": "t", "source_partition": 0, "source_offset": range(len(rows))}
    return decode_json(pl.DataFrame(columns, schema=RAW_SCHEMA), NOW)


def counts(batch: Decoded) -> pl.DataFrame:
    return quality_counts(batch.events, batch.dead, HOUR, NOW, FIRST_OPEN, batch.dead_times)


def window(at: object) -> datetime:
    begin = (at if isinstance(at, int) else NOW) // HOUR * HOUR
    return datetime.fromtimestamp(max(begin, FIRST_OPEN) / 1000, UTC)


def plain(batch: Decoded, rows: list[dict[str, object]]) -> dict[tuple[object, ...], tuple[int, int]]:
    """What is counted, by a loop over rows."""
    dead = dict(zip(batch.dead["source_offset"], batch.dead["rule"], strict=True))
    total, good, failed = Counter(), Counter(), Counter()
    for number, item in enumerate(rows):
        at = window(item["event_time"])
        total[at] += 1
        if number in dead:
            failed[at, "schema_violation", dead[number]] += 1
            continue
        good[at] += 1
        for name in OPTIONAL:
            failed[at, "null_rate", name] += item.get(name) is None
        failed[at, "unknown_type", "event_type"] += item["event_type"] not in EVENT_TYPES
        failed[at, "unknown_type", "payment_status"] += item.get("payment_status", "failed") not in PAYMENT_STATUSES
    result = {
        (at, "schema_violation", rule): (failed[at, "schema_violation", rule], n)
        for at, n in total.items()
        for rule in Rule
    }
    for at, n in good.items():
        result |= {(at, "null_rate", name): (failed[at, "null_rate", name], n) for name in OPTIONAL}
        result |= {
            (at, "unknown_type", name): (failed[at, "unknown_type", name], n)
            for name in ("event_type", "payment_status")
        }
    return result


@examples(40)
@given(st.lists(row, max_size=15), st.integers(0, 15))
def test_counts_equal_a_loop_and_parts_add_up(rows, cut):
    batch = decoded(rows)
    found = counts(batch)
    assert found.schema == QUALITY_SCHEMA
    assert {line[:3]: line[3:] for line in found.rows()} == plain(batch, rows)
    parts = [counts(decoded(rows[:cut])), counts(decoded(rows[cut:]))]
    assert merge_quality(parts).equals(found)
    assert merge_quality(parts[::-1]).equals(found)


def test_without_times_dead_rows_count_in_the_window_of_now():
    batch = decoded([{"event_id": "e", "event_type": "login", "event_time": BASE}])
    found = quality_counts(batch.events, batch.dead, HOUR, NOW, FIRST_OPEN).filter(pl.col("count") > 0)
    assert found.rows() == [(window(NOW), "schema_violation", "missing_required", 1, 1)]


def test_nothing_to_count():
    assert counts(decoded([])).schema == QUALITY_SCHEMA
    assert merge_quality([]).rows() == []
    with pytest.raises(ValueError, match="window_ms must be positive, not 0"):
        quality_counts(decoded([]).events, decoded([]).dead, 0, NOW, 0)
