"""`ScoreTransactions`: every transaction scored by the version of its time, and the few to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import MONEY, ORDER, TIME
from ecompulse.kernels.fraud.brain import PARTS, Brain, Learning
from ecompulse.kernels.fraud.budget import FLAGGED, Budget
from ecompulse.kernels.fraud.examples import matrix, packed_schema
from ecompulse.kernels.fraud.line import Floats
from ecompulse.kernels.fraud.models import Matrix
from ecompulse.kernels.fraud.reservoir import HOUR, bounded
from ecompulse.kernels.fraud.rules import Policy
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import millis
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

REASON: Final = pl.Struct({"feature": pl.String(), "value": pl.Float64(), "usual": pl.Float64()})
SCORE_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "transaction_id": pl.String(),
        "order_id": pl.String(),
        "event_time": TIME,
        "visitor": pl.String(),
        "amount_base": MONEY,
        "score": pl.Float64(),
        "threshold": pl.Float64(),
        "decision": pl.String(),
        "model_version": pl.String(),
        "reasons": pl.List(REASON),
    }
)
FLAGGED_SCHEMA: Final = pl.Schema(
    {**SCORE_SCHEMA, "card_id": pl.String(), "merchant_id": pl.String(), "rule": pl.String()}
)
QUALITY_SCHEMA: Final = pl.Schema({"name": pl.String(), "value": pl.Float64()})

_ONE: Final = "model"
_BUDGET: Final = "budget"
_MINOR: Final = 10_000
_REASONS: Final = 3
_LEAST: Final = 1.0  # surprise below which a feature is no reason
_DIGITS: Final = 6
_FEW: Final = 24 * 31  # hours that are read at once
_LONGEST: Final = 24 * 400  # hours that are looked back at the most


_CELLS: Final = pl.Schema(
    {
        "row": pl.Int64(), "feature": pl.String(), "value": pl.Float64(), "usual": pl.Float64(),
        "surprise": pl.Float64(),
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Spell:
    """Rows of one version: the brain that scored them, their features and scores."""

    brain: Brain
    columns: Matrix
    scores: Floats


@dataclass(frozen=True)
class ScoreTransactions:
    """Scores transactions, learns from them and from their labels, decides which are looked at.

    A transaction at t is scored by the version of its interval (`every`): all that came before the interval's
    beginning, less `margin`, is learnt, and nothing after it; so scores are the same for any cut into epochs, any
    order within the delay and any number of shards. It must be fed behind the watermark: each step's transactions
    later than those before.

    Keying: one key for all: the model and the budget are one. State: `models`, the brain's parts and the budget, each
    written only when it has changed (a few hundred KB); `reservoir`, examples by the hour in which they became known,
    bounded per hour; it expires after `pool.keep`.

    Attributes:
        features: names, in the order of `vector`.
        how: of learning.
        alerts_per_day: at the most, by the local day of `timezone`.
        timezone: IANA name.
        policy: rules and lists.
        based: amounts are in the base currency, and shown as such.

    Outputs: `risk_scores` one per transaction; `flagged_transactions`, those with an alert; `quality`, what is known of
    the models (name and value) after a step in which a version has advanced.
    """

    features: tuple[str, ...]
    how: Learning
    alerts_per_day: int = 100
    timezone: str = "UTC"
    policy: Policy = field(default_factory=Policy)
    based: bool = True
    name: str = "fraud_scores"
    version: int = field(default=1, init=False)

    @property
    def _reservoir(self) -> Table:
        kept = packed_schema(len(self.features))
        schema = {name: kept[name] for name in ("transaction_id", "event_time", "label", "told", "vector")}
        own = {"hour": pl.String(), "one": pl.String()}
        return Table(
            "reservoir", pl.Schema({**own, **schema, "ends": pl.Int64()}), "hour", expires="ends", shard_by="one"
        )

    @property
    def tables(self) -> Sequence[Table]:
        """`models` by name of the part, `reservoir` by hour."""
        models = pl.Schema({"part": pl.String(), "one": pl.String(), "blob": pl.Binary()})
        return (Table("models", models, "part", shard_by="one"), self._reservoir)

    @property
    def inputs(self) -> pl.Schema:
        """Transactions and examples."""
        return packed_schema(len(self.features))

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """Scores, alerts, quality."""
        return {"risk_scores": SCORE_SCHEMA, "flagged_transactions": FLAGGED_SCHEMA, "quality": QUALITY_SCHEMA}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """One for all."""
        return pl.repeat(_ONE, batch.height, dtype=pl.String, eager=True)

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Take in examples, then score in order of time, learning at each boundary."""
        del clock
        reservoir = _Reservoir(self, state, batch.filter(pl.col("label").is_not_null()))
        kept = state.lookup("models", pl.Series([*PARTS, _BUDGET]))
        before = dict(kept.select("part", "blob").iter_rows())
        budget = Budget.load(self.alerts_per_day, before.get(_BUDGET, b"{}"))
        brain = Brain.load(before) if "" in before else Brain.new(self.how)
        rows = batch.filter(pl.col("label").is_null()).sort(ORDER)
        changes = {"reservoir": reservoir.change} if reservoir.change else {}
        if rows.is_empty():
            return Step({name: pl.DataFrame(schema=schema) for name, schema in self.outputs.items()}, changes)
        was, (spells, brain) = brain.facts["version"], self._lived(rows, brain, reservoir)
        shown, budget = self._shown(rows, spells, budget)
        changes["models"] = _change(before, {**brain.dump(), _BUDGET: budget.dump()})
        flagged = shown.filter(pl.col("decision").is_in(FLAGGED)).with_columns(
            id=row_id(pl.lit("flagged_transactions"), "transaction_id")
        )
        quality = self._quality(brain, budget) if brain.facts["version"] > was else pl.DataFrame(schema=QUALITY_SCHEMA)
        outputs = {"risk_scores": shown.select(SCORE_SCHEMA.names()), "quality": quality}
        outputs["flagged_transactions"] = flagged.select(FLAGGED_SCHEMA.names())
        return Step(outputs, changes)

    def _lived(self, rows: pl.DataFrame, brain: Brain, reservoir: "_Reservoir") -> tuple[list[_Spell], Brain]:
        """Rows (in order) by version, with their scores, and the brain after them."""
        how, columns = self.how, matrix(rows, len(self.features))
        at = rows.select(millis()).to_series().to_numpy()
        version, interval = at // how.every, (at + how.margin) // how.every
        reservoir.expect(int(at[-1]) // HOUR)
        starts = np.flatnonzero(np.diff(version, prepend=-1))
        spells = []
        for start, stop in zip(starts, [*starts[1:], at.size], strict=True):
            brain, mine = brain.at(int(version[start]), how, reservoir.told), columns[start:stop]
            spells.append(_Spell(brain, mine, np.round(brain.score_many(mine, how), _DIGITS)))
            # Transactions are learnt by the first version whose margin leaves them behind.
            for number in np.unique(interval[start:stop]):
                brain = brain.with_pending(int(number), mine[interval[start:stop] == number])
        return spells, brain

    def _shown(self, rows: pl.DataFrame, spells: Sequence[_Spell], budget: Budget) -> tuple[pl.DataFrame, Budget]:
        """Rows with their decisions (FLAGGED_SCHEMA)."""
        rows = rows.with_columns(
            score=pl.Series(np.concatenate([spell.scores for spell in spells])),
            day=pl.col("event_time").dt.convert_time_zone(self.timezone).dt.date().cast(pl.Int32),
            card=pl.coalesce("card_id", "visitor"),
        )
        found, budget = budget.decided(self.policy.applied(rows, list(self.features)))
        versions = pl.concat([pl.repeat(self._version(spell.brain), spell.scores.size, eager=True) for spell in spells])
        shown = found.with_columns(
            versions.alias("model_version"),
            id=row_id(pl.lit("risk_scores"), "transaction_id"),
            amount_base=_money(pl.col("minor")) if self.based else pl.lit(None, MONEY),
            reasons=self._reasons(spells, (found["decision"] != "pass").to_numpy()),
        )
        return shown.select(FLAGGED_SCHEMA.names()), budget

    def _version(self, brain: Brain) -> str:
        """Names the boundary, and when the active trees were grown, both ISO 8601."""
        moments = [brain.facts["version"] * self.how.every, *([brain.facts["fitted"]] if brain.trees else [])]
        return "/".join(np.datetime_as_string(np.array(moments, "datetime64[ms]"), unit="m", timezone="UTC"))

    def _reasons(self, spells: Sequence[_Spell], told: np.ndarray) -> pl.Series:
        """The features by which a row is furthest out, with their value and their median; for rows that are told."""
        cells: list[dict[str, Any]] = []
        start = 0
        for spell in spells:
            mine = np.flatnonzero(told[start : start + spell.scores.size])
            cells += [self._cells(spell.brain, spell.columns[mine], mine + start)] if mine.size else []
            start += spell.scores.size
        reasons = pl.concat([pl.DataFrame(schema=_CELLS), *(pl.DataFrame(cell, schema=_CELLS) for cell in cells)])
        reasons = reasons.filter(pl.col("surprise") >= _LEAST).with_columns(pl.col("usual").fill_nan(None))
        listed = reasons.group_by("row", maintain_order=True).agg(
            pl.struct("feature", pl.col("value").round_sig_figs(5), pl.col("usual").round_sig_figs(3)).alias("reasons")
        )
        every = pl.DataFrame({"row": np.arange(told.size)}).join(listed, on="row", how="left", maintain_order="left")
        return every["reasons"].cast(pl.List(REASON)).fill_null(pl.Series([[]], dtype=pl.List(REASON)))

    def _cells(self, brain: Brain, columns: Matrix, rows: np.ndarray) -> dict[str, Any]:
        """The most surprising features of rows, one after the other (_CELLS)."""
        surprise, chosen = brain.tails.surprises(columns), brain.tails.chosen
        order = np.argsort(-surprise, axis=1, kind="stable")[:, :_REASONS]
        return {
            "row": np.repeat(rows, order.shape[1]),
            "feature": np.array(self.features)[chosen[order]].ravel(),
            "value": np.take_along_axis(columns[:, chosen], order, axis=1).ravel().astype(np.float64),
            "usual": brain.tails.usual()[order].ravel(),
            "surprise": np.take_along_axis(surprise, order, axis=1).ravel(),
        }

    def _quality(self, brain: Brain, budget: Budget) -> pl.DataFrame:
        tally, day = brain.tallies["active"], budget.days[max(budget.days)]
        slope, shift = tally.calibration() or (1.0, 0.0)
        odds = np.log(max(day.threshold, 1e-9) / max(1 - day.threshold, 1e-9))
        wrong, right = tally.above((odds - shift) / slope)
        found: dict[str, Any] = {
            "average_precision": tally.average_precision(),
            "shadow_average_precision": brain.tallies["shadow"].average_precision(),
            "recall_at_threshold": right / tally.frauds if tally.frauds else None,
            "precision_at_threshold": right / (right + wrong) if right + wrong else None,
            "known_frauds": brain.facts["frauds"],
            "promoted": brain.facts["promoted"],
            "score_drifts": brain.drift["score"].found,
            "fraud_drifts": brain.drift["frauds"].found,
            "threshold": day.threshold,
            "alerts_today": day.alerts,
        }
        rows = [(name, float(value)) for name, value in found.items() if value is not None]
        return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")


def _change(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Change:
    """The parts that are new, other than they were, or gone."""
    changed = [name for name, blob in after.items() if before.get(name) != blob]
    gone = [name for name in before if name not in after]
    blobs = [after[name] for name in changed]
    rows = pl.DataFrame(
        {"part": changed, "one": [_ONE] * len(changed), "blob": blobs},
        schema={"part": pl.String, "one": pl.String, "blob": pl.Binary},
    )
    return Change(pl.Series([*changed, *gone], dtype=pl.String), rows)


def _money(minor: pl.Expr) -> pl.Expr:
    return (minor.cast(pl.Decimal(38, 4)) / _MINOR).cast(MONEY)


class _Reservoir:
    """The examples of a shard before and in this step."""

    def __init__(self, kernel: ScoreTransactions, state: StateView, new: pl.DataFrame) -> None:
        self._state = state
        self._schema = kernel._reservoir.schema  # noqa: SLF001
        self._known: pl.DataFrame = pl.DataFrame(schema=self._schema)
        self.change: Change | None = None
        self._ahead: pl.DataFrame | None = None
        self._last = self._from = self._until = 0
        self._times = np.empty(0, np.int64)
        if new.is_empty():
            return
        hour, ends = (pl.col("told") // HOUR).cast(pl.String), pl.col("told") + kernel.how.pool.keep
        new = new.with_columns(hour=hour, ends=ends, one=pl.lit(_ONE))
        hours = new["hour"].unique().sort()
        old = state.lookup("reservoir", hours)
        self._known = bounded(pl.concat([old, new.select(self._schema.names())]), kernel.how.pool)
        self.change = Change(hours, self._known)

    def expect(self, last: int) -> None:
        """Hours up to this one will be asked for, one after the other."""
        self._last = last

    def told(self, first: int, until: int) -> pl.DataFrame:
        """Examples that became known in these hours, in order."""
        if self._ahead is None or not self._from <= first <= until <= self._until:
            found = self._read(first, max(until, self._last))
            if until - first > _FEW:  # of long ago, and once
                return found.filter(pl.col("told") < until * HOUR)
            self._ahead, self._from, self._until = found, first, max(until, self._last)
            self._times = found["told"].to_numpy()
        low, high = np.searchsorted(self._times, [first * HOUR, until * HOUR])
        return self._ahead[int(low) : int(high)]

    def _read(self, first: int, until: int) -> pl.DataFrame:
        hours = pl.Series(range(max(first, until - _LONGEST), until), dtype=pl.Int64).cast(pl.String)
        mine = self._known.filter(pl.col("hour").is_in(hours.implode()))
        asked = hours.filter(~hours.is_in(self._known["hour"].unique().implode()))
        found = pl.concat([self._state.lookup("reservoir", asked), mine])
        return found.sort("told", "transaction_id")
