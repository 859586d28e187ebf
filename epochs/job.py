"""What a job is to the driver: outputs, keyed operators, and how they are composed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ecompulse.epochs.plan import Operator
from ecompulse.epochs.protocols import TableSpec

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope  # brings Beam, which takes seconds to import


class Job(Protocol):
    """A job.

    Attributes:
        name: part of table rows, ledgers and the default checkpoint.
        tables: its outputs.
        operators: its keyed operators, each once.
    """

    @property
    def name(self) -> str: ...
    @property
    def tables(self) -> Sequence[TableSpec]: ...
    @property
    def operators(self) -> Sequence[Operator]: ...

    def build(self, scope: "Scope") -> None:
        """Compose the pipeline: take `scope.read()`, apply transforms, end in `scope.write()`."""
        ...


@dataclass(frozen=True)
class ComposedJob:
    """A job from its parts; `build` composes the pipeline."""

    name: str
    tables: Sequence[TableSpec]
    operators: Sequence[Operator]
    build: Callable[["Scope"], None]
