"""`ScoreTransactions`: every transaction scored by the version of its time, and the few to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import MONEY, ORDER, TIME
from ecompulse.kernels.fraud.brain import Brain, Learning
from ecompulse.kernels.fraud.budget import FLAGGED, Budget
from ecompulse.kernels.fraud.examples import matrix, packed_schema
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
_MINOR: Final = 10_000
_REASONS: Final = 3
_LEAST: Final = 1.0  # surprise below which a feature is no reason
_DIGITS: Final = 6
_LONGEST: Final = 24 * 400  # hours that are looked back at the most


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
        return Table(
            "reservoir", pl.Schema({"hour": pl.String(), **schema, "ends": pl.Int64()}), "hour", expires="ends"
        )

    @property
    def tables(self) -> Sequence[Table]:
        """`models` by name of the part, `reservoir` by hour."""
        models = pl.Schema({"part": pl.String(), "one": pl.String(), "blob": pl.Binary()})
        return (Table("models", models, "one"), self._reservoir)

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
        kept = state.lookup("models", pl.Series([_ONE]))
        before = dict(kept.select("part", "blob").iter_rows())
        budget = Budget.load(self.alerts_per_day, before.get("budget", b"{}"))
        brain = Brain.load(before) if "" in before else Brain.new(self.how)
        rows = batch.filter(pl.col("label").is_null()).sort(ORDER).with_columns(
            version=millis() // self.how.every,
            day=pl.col("event_time").dt.convert_time_zone(self.timezone).dt.date().cast(pl.Int32),
            card=pl.coalesce("card_id", "visitor"),
        )  # fmt: skip
        scored, was = [], brain.facts["version"]
        for part in rows.partition_by("version", maintain_order=True):
            brain = brain.at(int(part["version"][0]), self.how, reservoir.told)
            found, budget, columns = self._scored(part, brain, budget)
            scored.append(found)
            brain = self._noted(brain, part, columns)
        changes = {"reservoir": reservoir.change} if reservoir.change else {}
        if not scored:
            return Step({name: pl.DataFrame(schema=schema) for name, schema in self.outputs.items()}, changes)
        after = {**brain.dump(), "budget": budget.dump()}
        parts = pl.DataFrame({"part": list(after), "one": _ONE, "blob": list(after.values())})
        shown = pl.concat(scored)
        flagged = shown.filter(pl.col("decision").is_in(FLAGGED)).with_columns(
            id=row_id(pl.lit("flagged_transactions"), "transaction_id")
        )
        quality = self._quality(brain, budget) if brain.facts["version"] > was else pl.DataFrame(schema=QUALITY_SCHEMA)
        outputs = {"risk_scores": shown.select(SCORE_SCHEMA.names()), "quality": quality}
        outputs["flagged_transactions"] = flagged.select(FLAGGED_SCHEMA.names())
        return Step(outputs, {**changes, "models": Change(pl.Series([_ONE]), parts)})

    def _scored(self, part: pl.DataFrame, brain: Brain, budget: Budget) -> tuple[pl.DataFrame, Budget, Matrix]:
        columns = matrix(part, len(self.features))
        score = np.round(brain.score_many(columns, self.how), _DIGITS)
        rows = self.policy.applied(part.with_columns(score=pl.Series(score)), list(self.features))
        found, budget = budget.decided(rows)
        reasons = self._reasons(columns, brain, (found["decision"] != "pass").to_numpy())
        shown = found.with_columns(
            id=row_id(pl.lit("risk_scores"), "transaction_id"),
            amount_base=_money(pl.col("minor")) if self.based else pl.lit(None, MONEY),
            model_version=pl.lit(self._version(brain)),
            reasons=reasons,
        )
        return shown.select(FLAGGED_SCHEMA.names()), budget, columns

    def _version(self, brain: Brain) -> str:
        """Names the boundary, and when the active trees were grown, both ISO 8601."""
        moments = [brain.facts["version"] * self.how.every, *([brain.facts["fitted"]] if brain.trees else [])]
        return "/".join(np.datetime_as_string(np.array(moments, "datetime64[ms]"), unit="m", timezone="UTC"))

    def _reasons(self, columns: Matrix, brain: Brain, told: np.ndarray) -> pl.Series:
        """The features by which a row is furthest out, with their value and their median; for rows that are told."""
        surprise = brain.tails.surprises(columns[told])
        order = np.argsort(-surprise, axis=1, kind="stable")[:, :_REASONS]
        usual, chosen = brain.tails.usual(), brain.tails.chosen
        cells = {
            "row": np.repeat(np.flatnonzero(told), order.shape[1]),
            "feature": np.array(self.features)[chosen[order]].ravel().astype(str),
            "value": np.take_along_axis(columns[told][:, chosen], order, axis=1).ravel().astype(np.float64),
            "usual": usual[order].ravel(),
            "surprise": np.take_along_axis(surprise, order, axis=1).ravel(),
        }
        reasons = pl.DataFrame(cells, schema_overrides={"row": pl.Int64, "feature": pl.String})
        reasons = reasons.filter(pl.col("surprise") >= _LEAST).with_columns(pl.col("usual").fill_nan(None))
        listed = reasons.group_by("row", maintain_order=True).agg(
            pl.struct("feature", pl.col("value").round_sig_figs(5), pl.col("usual").round_sig_figs(3)).alias("reasons")
        )
        every = pl.DataFrame({"row": np.arange(columns.shape[0])}).join(
            listed, on="row", how="left", maintain_order="left"
        )
        return every["reasons"].cast(pl.List(REASON)).fill_null(pl.Series([[]], dtype=pl.List(REASON)))

    def _noted(self, brain: Brain, part: pl.DataFrame, columns: Matrix) -> Brain:
        """Transactions are learnt by the first version whose margin leaves them behind."""
        interval = (part.select(millis()).to_series().to_numpy() + self.how.margin) // self.how.every
        for number in np.unique(interval):
            brain = brain.with_pending(int(number), columns[interval == number])
        return brain

    def _quality(self, brain: Brain, budget: Budget) -> pl.DataFrame:
        tally, day = brain.tallies["active"], budget.days[max(budget.days)]
        slope, shift = tally.calibration()
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


def _money(minor: pl.Expr) -> pl.Expr:
    return (minor.cast(pl.Decimal(38, 4)) / _MINOR).cast(MONEY)


class _Reservoir:
    """The examples of a shard before and in this step."""

    def __init__(self, kernel: ScoreTransactions, state: StateView, new: pl.DataFrame) -> None:
        self._state = state
        self._schema = kernel._reservoir.schema  # noqa: SLF001
        self._known: pl.DataFrame = pl.DataFrame(schema=self._schema)
        self.change: Change | None = None
        if new.is_empty():
            return
        new = new.with_columns(
            hour=(pl.col("told") // HOUR).cast(pl.String), ends=pl.col("told") + kernel.how.pool.keep
        )
        hours = new["hour"].unique().sort()
        old = state.lookup("reservoir", hours)
        self._known = bounded(pl.concat([old, new.select(self._schema.names())]), kernel.how.pool)
        self.change = Change(hours, self._known)

    def told(self, first: int, until: int) -> pl.DataFrame:
        """Examples that became known in these hours, in order."""
        hours = pl.Series(range(max(first, until - _LONGEST), until), dtype=pl.Int64).cast(pl.String)
        mine = self._known.filter(pl.col("hour").is_in(hours.implode()))
        asked = hours.filter(~hours.is_in(self._known["hour"].unique().implode()))
        found = pl.concat([self._state.lookup("reservoir", asked), mine])
        return found.sort("told", "transaction_id")
