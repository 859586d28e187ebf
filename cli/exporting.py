"""The endpoint for Prometheus and for probes, while a driver is there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecompulse.cli.settings import Running
from ecompulse.epochs.health import Health
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.steps import observe

if TYPE_CHECKING:
    from ecompulse.io.exporter.exporter import Exporter


@dataclass(frozen=True)
class Shown:
    """Of what metrics are exported.

    Attributes:
        job: its name.
        checkpoint: place of it.
        outputs: store below which output files are.
        tables: names of those that the job writes.
        spaces: says what is free on the disks that the job writes to.
    """

    job: str
    checkpoint: str
    outputs: Store
    tables: Sequence[str]
    spaces: Callable[[], Mapping[str, Mapping[str, int]]]


@contextmanager
def exporting(shown: Shown, health: Health, running: Running) -> Iterator["Exporter | None"]:
    """Serve until the context ends; None where `--metrics_port` is not given."""
    if not running.metrics_port:
        yield None
        return
    from ecompulse.io.exporter.endpoint import serve
    from ecompulse.io.exporter.exporter import Exporter

    exporter = Exporter(shown.job, shown.outputs, shown.tables, shown.checkpoint, shown.spaces)
    end = serve(exporter.registry, running.metrics_port, running.metrics_host, health)
    forget = observe(health.reached)
    try:
        yield exporter
    finally:
        forget()
        end()
