"""A job as the command line sees it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, runtime_checkable

from ecompulse.cli.settings import Kind, Settings
from ecompulse.intake import Intake

if TYPE_CHECKING:
    from ecompulse.scope import JobScope

Build = Callable[["JobScope"], None]
"""Composes a job: reads from the scope, applies transforms, writes tables."""


class Job(Protocol):
    """A job with its settings."""

    def build(self, scope: "JobScope") -> None:
        """Compose the pipeline."""
        ...


@runtime_checkable
class AlertingJob(Job, Protocol):
    """A job that writes tables of alerts."""

    @property
    def alert_rules(self) -> Mapping[str, Collection[str]]:
        """Names of its own rules, by the table in which their alerts are."""
        ...


@dataclass(frozen=True)
class ComposedJob:
    """A job without settings of its own."""

    build: Build


@dataclass(frozen=True)
class JobSpec(Generic[Kind]):
    """A job; importing one imports no Beam.

    Attributes:
        name: part of table rows, ledgers and the default checkpoint.
        settings: its own flags.
        make: settings to the job; may raise UserError.
    """

    name: str
    summary: str
    settings: type[Kind]
    make: Callable[[Settings[Kind], Intake], Job]
