"""An outbox of alerts below a folder, with receivers that fail as they are told and a clock that stands still."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecompulse.epochs.runs import digest
from ecompulse.epochs.sinks import DataFile, Owner, TableSpec
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.alerts.alert import Alert
from ecompulse.io.alerts.outbox import Outbox
from ecompulse.io.alerts.routes import to_all
from ecompulse.io.alerts.targets import AlertTarget
from ecompulse.io.stores import LocalStore
from support.alert_rows import ROWS, rows_of

SPEC = TableSpec("metric_alerts", ROWS["metric_alerts"][0], "since")
STEPS = [step for step in Step if step.value.startswith("alerts.")]
"""What an epoch passes when it tells alerts."""


@dataclass
class Toy:
    """A receiver: fails with what `errors` hold, one after the other, then takes all."""

    errors: list[Exception | None] = field(default_factory=list)
    took: list[str] = field(default_factory=list)
    batch: int = 1
    calls: int = 0
    shown: str = "toy"

    def send(self, alerts: Sequence[Alert]) -> None:
        self.calls += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.took += [alert.key for alert in alerts]


@dataclass
class Place:
    """A checkpoint's store, an output folder, a clock that stands still."""

    root: Path
    said: list[str] = field(default_factory=list)
    now: float = 1_000_000.0

    @property
    def store(self) -> LocalStore:
        return LocalStore(str(self.root / "checkpoint"))

    def files(self, *changes: dict[str, Any], table: str = "metric_alerts") -> DataFile:
        outputs = LocalStore(str(self.root / "lake"))
        path = f"{table}/{len(outputs.list(table))}.parquet"
        (self.root / "lake" / table).mkdir(parents=True, exist_ok=True)
        rows_of(table, *changes).write_parquet(self.root / "lake" / path)
        data = (self.root / "lake" / path).read_bytes()
        return DataFile(path, len(changes), len(data), digest(data), "2026-01-01")

    def box(self, **targets: AlertTarget) -> Outbox:
        def wait(seconds: float) -> None:
            self.now += seconds

        made = Outbox(
            self.store, LocalStore(str(self.root / "lake")), targets, to_all(list(targets)), self.said.append,
            clock=lambda: int(self.now * 1000), monotonic=lambda: self.now, wait=wait,
        )  # fmt: skip
        made.open(Owner("j", "c"))
        return made


def named(*ids: str) -> list[dict[str, Any]]:
    """Rows of one firing incident each."""
    return [{"id": name, "incident_id": f"i-{name}"} for name in ids]


@contextmanager
def dying_at(step: Step) -> Iterator[None]:
    """Whoever reaches the step dies."""

    def die(reached: Step) -> None:
        if reached is step:
            raise KeyboardInterrupt  # whatever the dead driver would do next

    forget = observe(die)
    try:
        yield
    finally:
        forget()
