"""The checkpoint as the workers of one driver see it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecompulse.epochs.plan import CURRENT
from ecompulse.epochs.protocols import Store


@dataclass
class FencedStore:
    """A checkpoint's store in which CURRENT, the current run, belongs to this driver.

    A driver that was suspended and wakes beside its successor writes and reads its own CURRENT. So the workers of
    neither can execute the other's plan, or name files after it.

    Attributes:
        fencing_token: that of the driver; not known yet when the pipeline is composed.
    """

    store: Store
    fencing_token: int = 0

    @property
    def root(self) -> str:
        """Of the checkpoint."""
        return self.store.root

    def create(self, name: str, data: bytes) -> bool:
        """See Store."""
        return self.store.create(self._own(name), data)

    def put(self, name: str, data: bytes) -> None:
        """See Store."""
        self.store.put(self._own(name), data)

    def get(self, name: str) -> bytes:
        """See Store."""
        return self.store.get(self._own(name))

    def list(self, prefix: str) -> list[str]:
        """See Store."""
        return self.store.list(prefix)

    def delete(self, names: Sequence[str]) -> None:
        """See Store."""
        self.store.delete([self._own(name) for name in names])

    def age(self, name: str) -> float:
        """See Store."""
        return self.store.age(self._own(name))

    def _own(self, name: str) -> str:
        return f"current/{self.fencing_token:08d}.json" if name == CURRENT else name
