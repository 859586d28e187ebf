"""A job as the command line sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from ecompulse.cli.settings import Kind, Settings
from ecompulse.intake import Intake

if TYPE_CHECKING:
    from ecompulse.scope import JobScope

Build = Callable[["JobScope"], None]
"""Composes a job: reads from the scope, applies transforms, writes tables."""


@dataclass(frozen=True)
class JobSpec(Generic[Kind]):
    """A job; importing one imports no Beam.

    Attributes:
        name: part of table rows, ledgers and the default checkpoint.
        settings: its own flags.
        make: settings to what composes the pipeline; may raise UserError.
    """

    name: str
    summary: str
    settings: type[Kind]
    make: Callable[[Settings[Kind], Intake], Build]
