"""When and where an entity was last seen: how long ago, how fast it would have had to travel."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud.entity import Entity
from ecompulse.kernels.fraud.entity_timeline import EntityTimeline, Floats, Ints, latest
from ecompulse.kernels.fraud.memory import NEVER, PLACES, TIMES
from ecompulse.kernels.fraud.window_sums import Features, Past
from ecompulse.kernels.segments import Flags

_HOUR: Final = 3_600_000
_EARTH_KM: Final = 6_371.0
_SLACK: Final = 60_000  # ms; clocks differ, and nobody travels in no time


@dataclass(frozen=True)
class LastSeen:
    """What is known of each entity, by code.

    Attributes:
        times: ms, -1 for never.
        places: the last one, degrees, NaN for none.
        running: how many of its latest labels were frauds, in a row.
    """

    times: dict[str, Ints]
    places: dict[str, Floats]
    running: Ints

    @staticmethod
    def of(known: pl.DataFrame, size: int) -> "LastSeen":
        """From memory (with `code`)."""
        codes = known["code"].to_numpy()
        times = {name: np.full(size, NEVER, np.int64) for name in TIMES}
        places = {name: np.full(size, np.nan) for name in PLACES}
        running = np.zeros(size, np.int64)
        for name, column in (*times.items(), *places.items(), ("running", running)):
            column[codes] = known[name].to_numpy()
        return LastSeen(times, places, running)


@dataclass(frozen=True)
class _Walk:
    """Places on the line: the times and places that each sees behind it, and whether it is one that is seen."""

    at: Ints
    row: Flags
    fraud: Flags
    place: Flags
    seen: dict[str, Ints]
    there: dict[str, Floats]
    old: dict[str, Floats]
    fresh: dict[str, Flags]

    @property
    def newcomer(self) -> Flags:
        """Rows whose entity was not known."""
        return self.row & ~self.fresh["last"]

    @property
    def unheard(self) -> Flags:
        """Marks of an entity of which no label was known."""
        return ~self.row & ~self.fresh["label"]


def last_seen_features(past: Past, last_seen: LastSeen, entity: Entity) -> tuple[Features, LastSeen]:
    """Features of each row by the name's end (hours since, km/h), and what is remembered after it."""
    line = EntityTimeline.of(past.codes, past.at)
    walk = _walk(past, line, last_seen, entity.forget)
    at, newcomer = walk.at, walk.newcomer
    start = latest(newcomer, line.begins())
    first = np.where(start < 0, last_seen.times["first"][line.codes], at[start])
    fresh = walk.fresh
    found: Features = {"since_last": _hours(at - walk.seen["last"], fresh["last"])}
    found["since_first"] = _hours(at - first, fresh["last"])
    if entity.risk:
        found |= {f"since_{name}": _hours(at - walk.seen[name], fresh[name]) for name in ("fraud", "label")}
    if entity.travel:
        hours = np.maximum(at - walk.seen["placed"], _SLACK) / _HOUR
        found["speed"] = np.where(fresh["placed"], _kilometres(walk.old, walk.there) / hours, np.nan)
    running, counted = _running(walk, line, last_seen)
    if entity.risk:
        found["frauds_running"] = np.where(fresh["label"], running, 0).astype(float)
    after = {"first": np.where(newcomer, at, first)}
    marked = {"last": walk.row, "fraud": walk.fraud, "label": ~walk.row, "placed": walk.place}
    after |= {name: np.where(mask, at, walk.seen[name]) for name, mask in marked.items()}
    where = {name: np.where(walk.place, walk.there[name], walk.old[name]) for name in PLACES}
    here = line.place[: past.rows]
    return {name: values[here] for name, values in found.items()}, _moved(last_seen, line, after, where, counted)


def _running(walk: _Walk, line: EntityTimeline, last_seen: LastSeen) -> tuple[Ints, Ints]:
    """Frauds in a row among the labels before each place, and with it: another label, or a long silence, ends a row."""
    begins, fraud = line.begins(), walk.fraud.astype(np.int64)
    through = np.cumsum(fraud)
    before = through - fraud
    own = fraud * walk.unheard  # a row that begins with this place
    turns = walk.unheard | (~walk.row & ~walk.fraud)
    turn = latest(turns, begins)
    since = np.where(turn < 0, before[begins] - last_seen.running[line.codes], through[turn] - own[turn])
    running = before - since
    return running, np.where(turns, own, running + fraud)


def _walk(past: Past, line: EntityTimeline, last_seen: LastSeen, forget: int) -> _Walk:
    at, begins, codes = past.at[line.order], line.begins(), line.codes
    row, fraud = line.order < past.rows, past.defrauded[line.order]
    there = {name: _of_rows(past, name)[line.order] for name in PLACES}
    place = row & np.logical_and.reduce([np.isfinite(values) for values in there.values()])
    marked = {"last": row, "fraud": fraud, "label": ~row, "placed": place}
    before = {name: latest(mask, begins) for name, mask in marked.items()}
    seen = {name: np.where(where < 0, last_seen.times[name][codes], at[where]) for name, where in before.items()}
    fresh = {name: (then != NEVER) & (at - then < forget) for name, then in seen.items()}
    last = before["placed"]
    old = {name: np.where(last < 0, last_seen.places[name][codes], values[last]) for name, values in there.items()}
    return _Walk(at, row, fraud, place, seen, there, old, fresh)


def _of_rows(past: Past, name: str) -> Floats:
    """A column of the rows; NaN for marks."""
    found = np.full(past.codes.size, np.nan)
    found[: past.rows] = past.frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return found


def _hours(since: Ints, known: Flags) -> Floats:
    return np.where(known, since / _HOUR, np.nan)


def _kilometres(one: dict[str, Floats], two: dict[str, Floats]) -> Floats:
    """Great-circle distance of places in degrees (haversine)."""
    a, b = np.radians(one["latitude"]), np.radians(two["latitude"])
    turn = np.radians(two["longitude"] - one["longitude"])
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(turn / 2) ** 2
    distance: Floats = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    return distance


def _moved(
    last_seen: LastSeen, line: EntityTimeline, times: dict[str, Ints], places: dict[str, Floats], running: Ints
) -> LastSeen:
    """What is remembered, as the last place of each entity leaves it."""
    last = np.roll(line.firsts(), -1)
    codes = line.codes[last]

    def moved(old: Any, new: Any) -> Any:
        found = old.copy()
        found[codes] = new[last]
        return found

    return LastSeen(
        {name: moved(last_seen.times[name], values) for name, values in times.items()},
        {name: moved(last_seen.places[name], values) for name, values in places.items()},
        moved(last_seen.running, running),
    )
