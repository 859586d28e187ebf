"""`EntityFeatures`: what the past of one entity tells of its transactions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import ORDER
from ecompulse.kernels.fraud import others
from ecompulse.kernels.fraud import past as pasts
from ecompulse.kernels.fraud.entity import ROW_FEATURES, ROW_SCHEMA, TRANSACTION_SCHEMA, Entity
from ecompulse.kernels.fraud.faces import Faces, face_features
from ecompulse.kernels.fraud.memory import KEY, MEMORY_SCHEMA, TIMES, Block
from ecompulse.kernels.fraud.others import other_features
from ecompulse.kernels.fraud.past import Past, past_features
from ecompulse.kernels.rows import millis, reference
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

_NONE: Final = "\x1f"  # keeps rows without the entity apart from entities of the same text
_MEMORY: Final = Table("memory", MEMORY_SCHEMA, KEY, expires="expires")


@dataclass(frozen=True)
class EntityFeatures:
    """Adds features of one entity's history to transactions.

    A transaction sees what was before it in the total order (event_time, source, partition, offset), and marks
    (labels that have become known) with an earlier time; never itself, but for the ratios of its own amount. A window
    begins at event_time - length rounded down to the window's granule (`granules.Window`), so that its past can be
    kept in buckets. Amounts are summed as whole numbers; results are the same for any cut, order and sharding of rows
    that come behind the watermark. Late rows see, and are seen by, what is still known.

    Keying: the entity's id; rows without one pass with nulls and are spread. State: `memory`, one row per entity: about
    10 buckets of 64 bytes per window (45 for 1h/1d/7d/30d) and the raw rows that the watermark has not passed; 24 bytes
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
    version: int = field(default=2, init=False)

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
        column = self.entity.column
        told, there = pl.col("known").is_not_null(), pl.col(column).is_not_null()
        rows, marks = batch.filter(~told), batch.filter(told, there)
        if not self.entity.risk:
            marks = marks.clear()
        mine = rows.filter(there)
        names = pl.concat([mine[column], marks[column]]).unique().sort()
        if names.is_empty():
            return Step({"transactions": self._with_rest(rows, rows.clear())})
        codes = pl.DataFrame({column: names, "code": np.arange(len(names), dtype=np.int64)})
        mine = mine.with_columns(at=millis()).join(codes, on=column).sort("code", *ORDER)
        marks = marks.with_columns(at=millis()).join(codes, on=column).sort("code", "at", "frauds")
        known = state.lookup(_MEMORY.name, names).rename({KEY: column}).join(codes, on=column).sort("code")
        found, memory = self._looked_back(Past.of(mine, marks), known, names, clock)
        columns = [pl.Series(name, found[name], pl.Float32, nan_to_null=True) for name in self.features]
        shown = mine.with_columns(columns).select(self.outputs["transactions"].names())
        return Step({"transactions": self._with_rest(rows, shown)}, {_MEMORY.name: Change(names, memory)})

    def _looked_back(
        self, past: Past, known: pl.DataFrame, names: pl.Series, clock: Clock
    ) -> tuple[dict[str, Any], pl.DataFrame]:
        """Features by full name, and the memory of all entities of the step."""
        entity, size = self.entity, len(names)
        until = clock.watermark if clock.watermark < END_OF_TIME else past.latest
        sums, line = past_features(past, Block.unpacked(known, "line", pasts.WIDTH), entity, until)
        seen, faces = face_features(past, Faces.of(known, size), entity)
        met, kept = other_features(past, Block.unpacked(known, "others", others.WIDTH), entity)
        crowd = sums[f"count_{entity.windows[-1]}"] >= entity.busy
        found = {
            f"{self.entity_name}_{name}": np.where(crowd, np.nan, values)
            for name, values in (sums | seen | met).items()
        }
        columns = {KEY: names, "line": line.packed(size), "others": kept.packed(size), **faces.times, **faces.places}
        columns["running"] = faces.running
        frame = pl.DataFrame(columns).with_columns(expires=pl.Series(self._lasting(line, faces)))
        return found, frame.select(MEMORY_SCHEMA.names())

    def _lasting(self, line: Block, faces: Faces) -> Any:
        """Until when (ms) anything of each entity can be asked for."""
        entity = self.entity
        last = np.maximum.reduce([faces.times[name] for name in TIMES])
        longest = max([entity.forget, *(pair.window for pair in entity.pairs.values())])
        lasting = last + longest
        np.maximum.at(lasting, line.codes, line.rows[:, 0] + 2 * entity.spans[-1].length)
        return lasting

    def _with_rest(self, rows: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
        """In order, with the rows that have no such entity."""
        if shown.height == rows.height > 0:
            return shown.sort(ORDER)
        names = self.outputs["transactions"].names()
        rest = rows.filter(pl.col(self.entity.column).is_null())
        empty = [pl.lit(None, pl.Float32).alias(name) for name in self.features]
        rest = rest.with_columns(empty).select(names)
        return (pl.concat([shown, rest]) if shown.height else rest).sort(ORDER)
