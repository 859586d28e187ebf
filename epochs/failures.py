"""The last failure of a driver that has not gone on since: a record in the checkpoint, for people.

Nothing of a job depends on it. Each driver writes its own file, `failures/<fencing token>.json`. The record counts
until an epoch is committed after it, or a pass of the loop had nothing to do. A record that cannot be written, because
the disk is full or the store is away, is left out: the failure itself is what counts.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from ecompulse.epochs.checkpoint import Checkpoint
from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.masking import without_secrets
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.records import read_record, sign
from ecompulse.epochs.retry_policy import one_line
from ecompulse.epochs.seal import epoch_of

FOLDER: Final = "failures"

_OF_THE_STORE: Final = "checkpoint"
"""Kind of retry whose record would go where nothing can be written just now."""


@dataclass(frozen=True)
class Failure:
    """What fails.

    Attributes:
        epoch: the last committed one at that time; 0 when there was none.
        kind: what was tried: `run` (an epoch), `publish` (a sink), `checkpoint`, `backup`; `job` if it was not retried.
        attempts: that failed in a row.
        since: of the first of them (UTC, ms).
        at: of the last (UTC, ms).
        error: the last error in one line, without secrets.
        ended: whether the driver has ended because of it.
    """

    epoch: int
    kind: str
    attempts: int
    since: int
    at: int
    error: str
    ended: bool = False


def load_failure(store: Store, last: int) -> Failure | None:
    """The failure after the last committed epoch; None when there is none, or its record cannot be read."""
    names = store.list(FOLDER)
    if not names:
        return None
    with suppress(FileNotFoundError, StateDamaged, TypeError):  # removed meanwhile; of another version
        failure = Failure(**read_record(store, names[-1]))
        return failure if failure.epoch >= last else None
    return None


@dataclass
class FailureLog:
    """Keeps the record of one driver up to date.

    Attributes:
        now: UTC, in ms.
        failing: called with how many attempts have failed in a row; with 0 when all is well.
    """

    checkpoint: Checkpoint
    now: Callable[[], int]
    failing: Callable[[int], None]
    _kind: str = "job"
    _attempts: int = 0
    _since: int = 0
    _is_clear: bool = False  # an earlier driver may have left a record

    def failed(self, kind: str, error: BaseException | None) -> None:
        """An attempt failed, and another one follows."""
        self._note(kind)
        if kind != _OF_THE_STORE:
            self._write(error, ended=False)

    def ended(self, error: BaseException) -> None:
        """The driver ends because of an error."""
        self._note(self._kind)
        self._write(error, ended=True)

    def passed(self) -> None:
        """The loop has completed a pass: what failed before is over."""
        self._kind, self._attempts, self._since = "job", 0, 0
        self.failing(0)
        if self._is_clear:
            return
        with suppress(Exception):  # a record that stays is overtaken by the next commit
            store, token = self.checkpoint.store, self.checkpoint.fencing_token
            store.delete([name for name in store.list(FOLDER) if epoch_of(name) <= token])
            self._is_clear = True

    def _note(self, kind: str) -> None:
        self._kind = kind
        self._attempts += 1
        self._since = self._since or self.now()
        self.failing(self._attempts)

    def _write(self, error: BaseException | None, *, ended: bool) -> None:
        text = without_secrets(one_line(error)) if isinstance(error, Exception) else ""
        with suppress(Exception):  # also of a newer driver, of which the next step tells
            self.checkpoint.check_fencing_token()
            last, token = self.checkpoint.last_commit(), self.checkpoint.fencing_token
            record = Failure(last, self._kind, self._attempts, self._since, self.now(), text, ended)
            self._is_clear = False
            self.checkpoint.store.put(f"{FOLDER}/{token:08d}.json", sign(asdict(record)))
