"""`ScoreTransactions`: scores every transaction with the model version of its time, and flags a few."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from ecompulse.kernels.event import MONEY, ORDER, TIME
from ecompulse.kernels.fraud import daily_precision
from ecompulse.kernels.fraud.budget import FLAGGED, Budget
from ecompulse.kernels.fraud.examples import matrix, packed_schema
from ecompulse.kernels.fraud.learner_state import PARTS, dump_learner, load_learner
from ecompulse.kernels.fraud.learning import Learning
from ecompulse.kernels.fraud.online_learner import OnlineLearner
from ecompulse.kernels.fraud.quality import QUALITY_SCHEMA, quality_of
from ecompulse.kernels.fraud.reasons import REASON, VersionRun, reasons_of, spell_of_rows
from ecompulse.kernels.fraud.reservoir import HOUR, ShardReservoir
from ecompulse.kernels.fraud.rules import Policy
from ecompulse.kernels.fraud.scoring_runs import FeatureRows, ScoringRun
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import DAY_MS, millis, no_rows
from ecompulse.kernels.segments import changes
from ecompulse.kernels.step import Change, Clock, StateView, Step, Table

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

_ONE: Final = "model"
_BUDGET: Final = "budget"
_MINOR: Final = 10_000
_DIGITS: Final = 6
_AT_ONCE: Final = 16_384  # rows that are decided on together: 1 KB of surprises each
_CARD: Final = pl.coalesce("card_id", "visitor")
_DECIDED: Final = pl.Schema({"day": pl.Int32(), "card": pl.Int64(), "score": pl.Float64(), "flagged": pl.Boolean()})


@dataclass(frozen=True)
class ScoreTransactions:
    """Scores transactions, learns from them and from their labels, decides which are flagged.

    A transaction at t is scored by the version of its interval (`every`). That version has learnt everything before the
    interval's beginning minus `margin`, and nothing after it. So scores are the same for any cut into epochs, any order
    within the delay and any number of shards. Its input must be behind the watermark: each step's transactions are
    later than those of earlier steps.

    Keying: one key for all rows, since there is one model and one budget. State: `models`, the learner's parts and the
    budget, each written only when it has changed (a few hundred KB); `reservoir`, examples by the hour in which they
    became known, bounded per hour; it expires after the pool's `keep`; `days`, some 3 KB for each day until `keep` is
    over.

    Attributes:
        features: names, in the order of `vector`.
        how: of learning.
        alerts_per_day: most alerts per local day of `timezone`.
        timezone: IANA name.
        policy: rules and lists.
        based: whether amounts are in the base currency, and shown as such.
        keep: ms for which a day waits for its labels; longer than labels may take.

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
    keep: int = 70 * DAY_MS
    version: int = field(default=3, init=False)

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
        """`models` by name of the part, `reservoir` by hour, `days`."""
        models = pl.Schema({"part": pl.String(), "one": pl.String(), "blob": pl.Binary()})
        days = Table("days", daily_precision.DAYS_SCHEMA, "day", expires="ends", shard_by="one")
        return (Table("models", models, "part", shard_by="one"), self._reservoir, days)

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
        examples = batch.filter(pl.col("label").is_not_null())
        chosen, pool = np.array(self.how.surprising, np.int64), self.how.models.reservoir
        reserve = ShardReservoir(self._reservoir, state, examples, pool, chosen, _ONE)
        kept = state.lookup("models", pl.Series([*PARTS, _BUDGET]))
        before = dict(kept.select("part", "blob").iter_rows())
        budget = Budget.load(self.alerts_per_day, before.get(_BUDGET, b"{}"))
        learner = load_learner(before, self.how) if "" in before else OnlineLearner.new(self.how)
        rows = batch.filter(pl.col("label").is_null()).sort(ORDER)
        changed = {"reservoir": reserve.change} if reserve.change else {}
        outputs = {name: no_rows(schema) for name, schema in self.outputs.items()}
        was, parts, decided = learner.facts["version"], [], [no_rows(_DECIDED)]
        for spells, after in self._lived(rows, learner, reserve):
            learner = after
            part, budget, of_days = self._shown(rows[spells[0].lines.low : spells[-1].lines.high], spells, budget)
            parts.append(part)
            decided.append(of_days)
        if parts:
            shown = pl.concat(parts)
            changed["models"] = _change(before, {**dump_learner(learner), _BUDGET: budget.dump()})
            flagged = shown.filter(pl.col("decision").is_in(FLAGGED))
            flagged = flagged.with_columns(id=row_id(pl.lit("flagged_transactions"), "transaction_id"))
            outputs["risk_scores"] = shown.select(SCORE_SCHEMA.names())
            outputs["flagged_transactions"] = flagged.select(FLAGGED_SCHEMA.names())
        days, touched = self._days(state, pl.concat(decided), examples)
        if touched.height:
            changed["days"] = Change(touched["day"], touched)
        if learner.facts["version"] > was:
            outputs["quality"] = quality_of(learner, budget, days)
        return Step(outputs, changed)

    def _day(self) -> pl.Expr:
        return pl.col("event_time").dt.convert_time_zone(self.timezone).dt.date().cast(pl.Int32).alias("day")

    def _days(
        self, state: StateView, decided: pl.DataFrame, examples: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Days of which something is known, and those of them that this step has touched."""
        told = examples.with_columns(self._day(), card=_CARD)
        told = told.filter(pl.col("card").is_not_null())
        weight = pl.when(pl.col("label") == 1).then(1.0).otherwise(1 / self.how.share).alias("weight")
        told = told.select("day", daily_precision.hashed(told["card"]), "label", weight)
        touched = pl.concat([decided["day"], told["day"]]).unique().sort()
        if touched.is_empty():
            none = no_rows(daily_precision.DAYS_SCHEMA)
            return none, none
        last = int(touched[-1])
        asked = pl.int_range(last - self.keep // DAY_MS, last + 1, eager=True).append(touched.cast(pl.Int64))
        known = state.lookup("days", asked.unique().cast(pl.String))
        mine = pl.col("day").is_in(touched.cast(pl.String).implode())
        found = daily_precision.noted(known.filter(mine), decided, told, _ONE, self.keep)
        return pl.concat([known.filter(~mine), found]), found

    def _lived(
        self, rows: pl.DataFrame, learner: OnlineLearner, reserve: ShardReservoir
    ) -> Iterator[tuple[list[VersionRun], OnlineLearner]]:
        """Rows (in order) by version, with their scores, some versions at a time, and the learner after them."""
        if rows.is_empty():
            return
        how, lines = self.how, FeatureRows(matrix(rows, len(self.features)), learner.profile.chosen)
        at = rows.select(millis()).to_series().to_numpy()
        version, interval = at // how.every, (at + how.margin) // how.every
        reserve.expect(int(at[-1]) // HOUR)
        starts = np.flatnonzero(changes(version, interval))
        spells: list[VersionRun] = []
        # Transactions are learnt by the first version whose margin leaves them behind.
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), at.size], strict=True):
            learner, mine = learner.at(int(version[start]), how, reserve), ScoringRun(lines, start, stop)
            surprises = learner.profile.surprises(mine.bins)
            rare = learner.rare(mine, surprises)
            scores = np.round(learner.score_many(mine, rare, how), _DIGITS)
            spells.append(VersionRun(self._version(learner), mine, scores, surprises, learner.profile.usual))
            learner = learner.with_pending(int(interval[start]), mine, rare)
            if stop - spells[0].lines.low >= _AT_ONCE or stop == at.size:
                yield spells, learner
                spells = []

    def _shown(
        self, rows: pl.DataFrame, spells: Sequence[VersionRun], budget: Budget
    ) -> tuple[pl.DataFrame, Budget, pl.DataFrame]:
        """Rows with their decisions (FLAGGED_SCHEMA), and of each its day, card and score (_DECIDED)."""
        scores = pl.Series(np.concatenate([spell.scores for spell in spells]))
        rows = rows.with_columns(self._day(), score=scores, card=_CARD)
        found, budget = budget.decided(self.policy.applied(rows, list(self.features)))
        told = (found["decision"] != "pass").to_numpy()
        versions = pl.Series([spell.version for spell in spells], dtype=pl.String)
        shown = found.with_columns(
            versions.gather(spell_of_rows(spells)).alias("model_version"),
            id=row_id(pl.lit("risk_scores"), "transaction_id"),
            amount_base=_money(pl.col("minor")) if self.based else pl.lit(None, MONEY),
            reasons=reasons_of(spells, told, np.array(self.how.surprising), self.features),
        )
        flagged = pl.col("decision").is_in(FLAGGED).alias("flagged")
        decided = found.filter(pl.col("card").is_not_null())
        decided = decided.select("day", daily_precision.hashed(decided["card"]), "score", flagged)
        return shown.select(FLAGGED_SCHEMA.names()), budget, decided

    def _version(self, learner: OnlineLearner) -> str:
        """Names the boundary, and when the active trees were grown, both ISO 8601."""
        moments = [learner.facts["version"] * self.how.every, *([learner.facts["fitted"]] if learner.trees else [])]
        return "/".join(np.datetime_as_string(np.array(moments, "datetime64[ms]"), unit="m", timezone="UTC"))


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
    return (minor.cast(pl.Decimal(38, 4)) / _MINOR).cast(MONEY, strict=False)  # sums of lines may be beyond it
