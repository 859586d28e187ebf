"""What EntityFeatures must say, in plain Python: one loop over all that came before, for each transaction."""

import math
from typing import Any

from ecompulse.kernels.fraud.entity import Entity

HOUR = 3_600_000
BUCKETS = [1_000, 60_000, 300_000, HOUR, 2 * HOUR, 12 * HOUR, 72 * HOUR]


def window_start(at: int, length: int) -> int:
    bucket_ms = max([size for size in BUCKETS if size * 10 <= length] or [BUCKETS[0]])
    return (at - length) // bucket_ms * bucket_ms


def features(name: str, entity: Entity, rows: list[dict[str, Any]], marks: list[dict[str, Any]]) -> list[dict]:
    """One dict of features per row; `rows` in order, with `at` (ms); NaN is None."""
    found = []
    for number, row in enumerate(rows):
        own = row[entity.column]
        if own is None:
            found.append(dict.fromkeys(entity.features(name)))
            continue
        before = [other for other in rows[:number] if other[entity.column] == own]
        told = [mark for mark in marks if mark[entity.column] == own and mark["at"] < row["at"]]
        values = amounts(entity, row, before) | times(entity, row, before, told) | others(entity, row, before)
        for window in entity.spans:
            start = window_start(row["at"], window.length)
            known = [mark for mark in told if mark["at"] >= start]
            labels = sum(mark["known"] for mark in known)
            frauds = sum(mark["frauds"] for mark in known)
            values[f"frauds_{window.name}"] = frauds
            values[f"risk_{window.name}"] = frauds / labels if labels > 0 else None
        found.append({key: values[key.removeprefix(f"{name}_")] for key in entity.features(name)})
    return found


def amounts(entity: Entity, row: dict, before: list[dict]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for window in entity.spans:
        past = [other for other in before if other["at"] >= window_start(row["at"], window.length)]
        values[f"count_{window.name}"] = len(past)
        priced = [other["minor"] for other in past if other["minor"] is not None]
        values[f"mean_{window.name}"] = sum(priced) / 10_000 / len(priced) if priced else None
    last = entity.spans[-1].name
    if not priced or row["minor"] is None:
        return values | dict.fromkeys((f"ratio_{last}", f"deviation_{last}", f"to_max_{last}"))
    logs = [log(minor) for minor in priced]
    size, mean = len(priced), sum(logs) / len(priced)
    variance = max(sum(value**2 for value in logs) / size - mean**2, 0)
    spread = math.sqrt((variance * size + 0.8**2 * 2) / (size + 2))
    values[f"ratio_{last}"] = row["minor"] / max(sum(priced) / size, 1)
    values[f"deviation_{last}"] = (log(row["minor"]) - mean) / spread
    values[f"to_max_{last}"] = row["minor"] / max(*priced, 0, 1)
    return values


def log(minor: int) -> float:
    return round(math.log1p(minor / 10_000) * 1_000) / 1_000


def times(entity: Entity, row: dict, before: list[dict], told: list[dict]) -> dict[str, float | None]:
    names = ("since_last", "since_first", "since_fraud", "since_label", "speed")
    values: dict[str, float | None] = dict.fromkeys(names)
    life: list[dict] = []
    for other in before:
        if life and other["at"] - life[-1]["at"] >= entity.forget:
            life = []
        life.append(other)
    if life and row["at"] - life[-1]["at"] < entity.forget:
        values["since_last"] = (row["at"] - life[-1]["at"]) / HOUR
        values["since_first"] = (row["at"] - life[0]["at"]) / HOUR
    frauds = [mark["at"] for mark in told if mark["frauds"] > 0 and row["at"] - mark["at"] < entity.forget]
    if frauds:
        values["since_fraud"] = (row["at"] - max(frauds)) / HOUR
    values["frauds_running"], last = 0, row["at"]
    for mark in sorted(told, key=lambda mark: (mark["at"], mark["frauds"]), reverse=True):
        if mark["frauds"] <= 0 or last - mark["at"] >= entity.forget:
            break
        values["frauds_running"] += 1
        last = mark["at"]
    if told and row["at"] - max(mark["at"] for mark in told) < entity.forget:
        values["since_label"] = (row["at"] - max(mark["at"] for mark in told)) / HOUR
    placed = [other for other in before if other["latitude"] is not None]
    if placed and row["latitude"] is not None and row["at"] - placed[-1]["at"] < entity.forget:
        values["speed"] = kilometres(placed[-1], row) / (max(row["at"] - placed[-1]["at"], 60_000) / HOUR)
    return values


def kilometres(one: dict, two: dict) -> float:
    """By the angle between two vectors, so that no formula is shared with the kernel."""

    def vector(place: dict) -> tuple[float, float, float]:
        lat, lon = math.radians(place["latitude"]), math.radians(place["longitude"])
        return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)

    a, b = vector(one), vector(two)
    return 6_371 * 2 * math.asin(min(1.0, math.dist(a, b) / 2))


def others(entity: Entity, row: dict, before: list[dict]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, pair in entity.pairs.items():
        values |= {f"distinct_{name}": None, f"new_{name}": None}
        if row[pair.column] is None:
            continue
        recent = {o[pair.column] for o in before if row["at"] - o["at"] < pair.window} - {None}
        among = len(recent | {row[pair.column]})
        new = row[pair.column] not in recent
        values[f"distinct_{name}"] = min(among, entity.cap)
        values[f"new_{name}"] = None if among >= entity.cap else float(new)
    return values
