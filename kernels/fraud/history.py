"""`EntityFeatures`: what the past of one entity tells of its transactions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.fraud import pairs
from ecompulse.kernels.fraud import window_sums as pasts
from ecompulse.kernels.fraud.entity import MARK_SCHEMA, ROW_FEATURES, ROW_SCHEMA, TRANSACTION_SCHEMA, Entity
from ecompulse.kernels.fraud.entity_timeline import Ints
from ecompulse.kernels.fraud.last_seen import LastSeen, last_seen_features
from ecompulse.kernels.fraud.memory import KEY, MEMORY_SCHEMA, PLACES, TIMES, Block
from ecompulse.kernels.fraud.pairs import other_features
from ecompulse.kernels.fraud.window_sums import Past, past_features
from ecompulse.kernels.hashing import fingerprint
from ecompulse.kernels.key_hashes import KeyHashes, owners
from ecompulse.kernels.rows import in_order, reference
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

_NONE: Final = "\x1f"  # keeps rows without the entity apart from entities of the same text
_MEMORY: Final = Table("memory", MEMORY_SCHEMA, KEY, expires="expires")


@dataclass(frozen=True)
class EntityFeatures:
    """Adds features of one entity's history to transactions.

    A transaction sees what was before it in the total order `event.ORDER`, and marks
    (labels that have become known) with an earlier time; never itself, but for the ratios of its own amount. A window
    begins at event_time - length rounded down to the window's bucket (`buckets.Window`), so that its past can be
    kept in buckets. Amounts are summed as whole numbers; results are the same for any cut, order and sharding of rows
    that come behind the watermark. Late rows see, and are seen by, what is still known.

    Keying: the entity's id; rows without one pass with nulls and are spread. State: `memory`, one row per entity: about
    10 buckets of 72 bytes per window (45 for 1h/1d/7d/30d) and the raw rows that the watermark has not passed; 24 bytes
    for each of at most `cap` others per pair; 60 bytes for when and where it was last seen. Expiry: an entity goes
    once its longest window, its pairs' windows and `forget` are over; each of them ends by itself in what is shown.

    Attributes:
        entity_name: of the entity; prefix of its features.
        entity: what is computed.
        before: features that rows already have, carried through.

    Output: `transactions`, the row with its features (Float32, null where unknown); marks are used up.
    """

    entity_name: str
    entity: Entity
    before: tuple[str, ...] = ROW_FEATURES
    version: int = field(default=3, init=False)

    @property
    def name(self) -> str:
        """Of the operator."""
        return f"fraud_{self.entity_name}"

    @property
    def features(self) -> Sequence[str]:
        """What it adds."""
        return list(self.entity.features(self.entity_name))

    @property
    def tables(self) -> Sequence[Table]:
        """`memory` by entity."""
        return (_MEMORY,)

    @property
    def inputs(self) -> pl.Schema:
        """Transactions with what was added before, and marks."""
        return pl.Schema({**ROW_SCHEMA, **dict.fromkeys(self.before, pl.Float32())})

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Transactions with their features."""
        added = dict.fromkeys([*self.before, *self.features], pl.Float32())
        return {"transactions": pl.Schema({**TRANSACTION_SCHEMA, **added})}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """The entity, else the row."""
        return batch.select(key=pl.coalesce(self.entity.column, _NONE + reference())).to_series()

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Look back from each transaction; take it into what is known."""
        rows, marks = self._parted(batch)
        own = rows[self.entity.column]
        where = np.flatnonzero(own.is_not_null().to_numpy())
        features = np.full((len(self.features), rows.height), np.nan, np.float32)
        texts = pl.concat([own.drop_nulls(), marks[self.entity.column]])
        if texts.is_empty():
            return Step({"transactions": self._shown(rows, features)})
        key_hashes = KeyHashes.of(fingerprint(texts))
        codes, firsts = key_hashes.numbered()
        names = texts[firsts]
        order = np.argsort(codes[: where.size].astype(np.min_scalar_type(len(names))), kind="stable")
        mine = _coded(rows[self._seen][where[order]], codes[order])
        marks = _coded(marks, codes[where.size :]).sort("code", "at", "frauds")
        known = _remembered(state, names, key_hashes[firsts])
        found, memory = self._looked_back(Past.of(mine, marks), known, names, clock)
        for feature, name in zip(features, self.features, strict=True):
            feature[where[order]] = found[name]
        return Step({"transactions": self._shown(rows, features)}, {_MEMORY.name: Change(names, memory)})

    @property
    def _seen(self) -> list[str]:
        """What is looked at of a transaction, beside its entity: the rest of the wide row need not be moved."""
        others = [pair.column for pair in self.entity.pairs.values()]
        return list(dict.fromkeys(["event_time", "minor", *PLACES, *others]))

    def _parted(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Transactions in order, and marks of entities."""
        told = batch["known"].is_not_null()
        marks = batch[list(dict.fromkeys([self.entity.column, "event_time", *MARK_SCHEMA]))]
        marks = marks.filter(told, marks[self.entity.column].is_not_null()) if self.entity.risk else marks.clear()
        return in_order(batch.filter(~told) if told.any() else batch), marks

    def _looked_back(
        self, past: Past, known: pl.DataFrame, names: pl.Series, clock: Clock
    ) -> tuple[dict[str, Any], pl.DataFrame]:
        """Features by full name, and the memory of all entities of the step."""
        entity, size = self.entity, len(names)
        until = clock.watermark if clock.watermark < END_OF_TIME else past.latest
        sums, line = past_features(past, Block.unpacked(known, "line", pasts.WIDTH), entity, until)
        seen, last_seen = last_seen_features(past, LastSeen.of(known, size), entity)
        met, kept = other_features(past, Block.unpacked(known, "others", pairs.WIDTH), entity)
        crowd = sums[f"count_{entity.windows[-1]}"] >= entity.busy
        found = {f"{self.entity_name}_{name}": values for name, values in (sums | seen | met).items()}
        if crowd.any():
            found = {name: np.where(crowd, np.nan, values) for name, values in found.items()}
        columns = {
            KEY: names,
            "line": line.packed(size),
            "others": kept.packed(size),
            **last_seen.times,
            **last_seen.places,
        }
        columns["running"] = last_seen.running
        columns["expires"] = self._lasting(line, last_seen)
        return found, pl.DataFrame({name: columns[name] for name in MEMORY_SCHEMA})

    def _lasting(self, line: Block, last_seen: LastSeen) -> Any:
        """Until when (ms) anything of each entity can be asked for."""
        entity = self.entity
        last = np.maximum.reduce([last_seen.times[name] for name in TIMES])
        longest = max([entity.forget, *(pair.window for pair in entity.pairs.values())])
        lasting = last + longest
        newest = np.flatnonzero(np.append(line.codes[1:] != line.codes[:-1], line.codes.size > 0))
        codes = line.codes[newest]
        lasting[codes] = np.maximum(lasting[codes], line.rows[newest, 0] + 2 * entity.spans[-1].length)
        return lasting

    def _shown(self, rows: pl.DataFrame, features: Any) -> pl.DataFrame:
        """Transactions with their features, one line of numbers each (NaN for null)."""
        columns = [
            pl.Series(name, values, nan_to_null=True) for name, values in zip(self.features, features, strict=True)
        ]
        return rows.hstack(columns)[self.outputs["transactions"].names()]


def _coded(rows: pl.DataFrame, codes: Ints) -> pl.DataFrame:
    """Rows with `code` and `at` (ms)."""
    return rows.hstack([pl.Series("code", codes), rows["event_time"].to_physical().alias("at")])


def _remembered(state: StateView, names: pl.Series, key_hashes: KeyHashes) -> pl.DataFrame:
    """What is known of entities, by `code`: their number among `names`, which are in the order of their key hashes."""
    known = state.lookup(_MEMORY.name, names)
    codes = owners(key_hashes, KeyHashes.of(fingerprint(known[KEY])))
    known = known.hstack([pl.Series("code", codes)])
    return known if (codes[1:] > codes[:-1]).all() else known[np.argsort(codes)]
