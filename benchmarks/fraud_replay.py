"""The handbook's simulated transactions, replayed through the kernels of fraud detection with their state."""

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import polars as pl

from ecompulse.epochs.runs import compact, make_run
from ecompulse.epochs.state import ShardState
from ecompulse.kernels.fraud.detection import FraudDetection
from ecompulse.kernels.fraud.entity import TRANSACTION_SCHEMA, standard_features
from ecompulse.kernels.fraud.examples import marked, pack
from ecompulse.kernels.fraud.labels import as_labelled
from ecompulse.kernels.rows import conform
from ecompulse.kernels.step import Clock, Kernel

DATA: Final = Path(__file__).parents[2] / "shared" / "data" / "fraud_transactions_2018-04-01_2018-07-10.parquet"
FIRST: Final = dt.datetime(2018, 4, 1, tzinfo=dt.UTC)
WEEK: Final = 7
DAY_MS: Final = 86_400_000


def there() -> bool:
    """Whether the data is here; says so if not, and imports what would be measured otherwise."""
    if not DATA.exists():
        print(f"{DATA} is not here: nothing is measured")
        return False
    import xgboost  # noqa: F401, PLC0415  # its start-up is not the models'

    return True


def load() -> pl.DataFrame:
    """The data in order, with the number of the day."""
    found = pl.read_parquet(DATA).sort("tx_datetime", "transaction_id").with_row_index("row")
    day = (pl.col("tx_datetime").dt.date() - FIRST.date()).dt.total_days()
    return found.with_columns(day.cast(pl.Int64).alias("day"), at=pl.col("tx_datetime").dt.epoch("ms"))


def detection(*, whole: bool = False) -> FraudDetection:
    """The job's own settings, with the entities that the data has, or all; labels count when they come."""
    features = standard_features()
    if not whole:
        kept = {name: features.entities[name] for name in ("user", "merchant")}
        kept["user"] = replace(kept["user"], pairs={}, travel=False)
        features = replace(features, entities=kept)
    return FraudDetection(features, wait=0, margin=0)


def transactions(data: pl.DataFrame) -> pl.DataFrame:
    """As the mapping `fraud_handbook` and the job make them, with card, device, address and place made up.

    These are the customer's: one payment in eight comes from a second device, one in sixteen from an address that two
    customers share.
    """
    customer, number = pl.col("customer_id"), pl.col("row").cast(pl.Int64)
    rows = data.select(
        transaction_id=pl.col("transaction_id").cast(pl.String),
        event_time=pl.col("at").cast(TRANSACTION_SCHEMA["event_time"]),
        source=pl.lit("data"),
        source_partition=pl.lit(0, pl.Int32),
        source_offset=number,
        visitor=customer.cast(pl.String),
        card_id=pl.format("c{}", customer),
        device_id=pl.format("d{}-{}", customer, (number % 8 == 0).cast(pl.Int8)),
        ip=pl.when(number % 16 == 0).then(pl.format("s{}", customer // 2)).otherwise(pl.format("i{}", customer)),
        latitude=(customer % 50).cast(pl.Float64),
        longitude=(customer % 90).cast(pl.Float64),
        country=pl.lit("FR"),
        merchant_id=pl.col("terminal_id").cast(pl.String),
        minor=(pl.col("tx_amount") * 10_000).round().cast(pl.Int64),
    )
    return as_labelled(rows)


@dataclass
class Stepper:
    """Kernels with their state, an epoch a day; counts CPU seconds by kernel, state included."""

    cost: dict[str, float] = field(default_factory=dict)
    states: dict[str, ShardState] = field(default_factory=dict)

    def step(self, kernel: Kernel, rows: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """One step, and its changes merged as the store merges them."""
        began = time.process_time()
        state = self.states.setdefault(kernel.name, ShardState(kernel, clock)).at(clock)
        done = kernel.step(state, rows.select(kernel.inputs.names()), clock)
        for name, change in done.changes.items():
            spec = next(found for found in kernel.tables if found.name == name)
            runs = [*state._load(name), make_run(spec, change.keys, change.rows)]  # noqa: SLF001
            kept, fresh = compact(runs, expires=spec.expires, watermark=clock.watermark)
            state._runs[name] = [*runs[:kept], *fresh]  # noqa: SLF001
        state._head.stepped = clock.watermark  # noqa: SLF001
        self.cost[kernel.name] = self.cost.get(kernel.name, 0.0) + time.process_time() - began
        return dict(done.outputs)


def replay(
    data: pl.DataFrame, fraud: FraudDetection, *, supervised: bool = True, days: int = 1
) -> tuple[pl.DataFrame, dict[str, float], pl.DataFrame]:
    """Scores by `row`, CPU seconds by part, and the packed features of the last epoch (of `days`)."""
    rows, stepper = transactions(data), Stepper()
    later = pl.col("event_time") + pl.duration(days=WEEK)
    labels = rows.select("transaction_id", "source", "source_partition", "source_offset", event_time=later)
    labels = as_labelled(labels.with_columns(label=data["tx_fraud"].cast(pl.Int64), rank=pl.lit(0, pl.Int64)))
    kernel, names = fraud.scores, fraud.features.names
    kernel = replace(kernel, how=replace(kernel.how, supervised=supervised))
    found, packed = [], pl.DataFrame()
    for number, (new, told) in enumerate(_epochs(days, rows, labels)):
        before, after = (int(FIRST.timestamp() * 1000) + (number + n) * days * DAY_MS for n in (0, 1))
        ahead, clock = Clock(number + 1, after, 0), Clock(number + 1, before, 0)
        known = stepper.step(fraud.labels, pl.concat([new, told]), ahead)
        marks, shown = known["marks"], fraud.first(known["transactions"])
        for entity in fraud.chain:
            both = [conform(part, entity.inputs) for part in (shown, marks)]
            shown = stepper.step(entity, pl.concat(both), clock)["transactions"]
        packed = pack(shown, names)
        asked = marked(marks, len(names))
        examples = stepper.step(fraud.examples, pl.concat([packed, asked]), clock)["examples"]
        found.append(stepper.step(kernel, pl.concat([packed, examples]), clock)["risk_scores"])
    scores = pl.concat(found).select(pl.col("transaction_id").cast(pl.Int64), "score")
    joined = data.select("row", pl.col("transaction_id").cast(pl.Int64)).join(scores, on="transaction_id", how="left")
    return joined.select("row", "score"), stepper.cost, packed


def _epochs(days: int, *frames: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, ...]]:
    last = frames[0]["event_time"].max()
    assert isinstance(last, dt.datetime)  # noqa: S101  # the data has rows
    for number in range(0, (last - FIRST).days + 1, days):
        since, until = FIRST + dt.timedelta(number), FIRST + dt.timedelta(number + days)
        yield tuple(frame.filter(pl.col("event_time").is_between(since, until, closed="left")) for frame in frames)
