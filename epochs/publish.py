"""Publishing a sealed epoch: first to the backup, then to every sink; each is retried until it accepts the epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ecompulse.epochs.backup import Backup
from ecompulse.epochs.checkpoint import Checkpoint, remember_sinks
from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, Unusable, UserError
from ecompulse.epochs.garbage_collection import collect
from ecompulse.epochs.progress import Stopwatch
from ecompulse.epochs.retry_policy import Retries, RetryPolicy, one_line
from ecompulse.epochs.seal import Seal
from ecompulse.epochs.sinks import DataFile, EpochSink, Outbox, Owner, Sink, TableSpec
from ecompulse.epochs.steps import Step, reach


@dataclass(frozen=True)
class Publisher:
    """Gives sealed epochs to the backup and the sinks; all of it is safe to repeat.

    Attributes:
        attempts: how often a sink, or the backup, is offered an epoch.
        outbox: delivers the rows of the alert tables, once the sinks have them.
    """

    checkpoint: Checkpoint
    owner: Owner
    tables: Sequence[TableSpec]
    sinks: Sequence[Sink]
    backup: Backup | None
    persist: RetryPolicy
    attempts: int
    outbox: Outbox | None = None

    def open(self) -> None:
        """Prepare sinks and backup; UserError when one cannot be prepared, JobError when one never answers."""
        for sink in self.sinks:
            self.persist(partial(sink.open, self.tables, self.owner), self.attempts, Retries(), "publish", JobError)
        remember_sinks(self.checkpoint.store, [sink.name for sink in self.sinks])  # none that has refused us
        if self.outbox:
            self.persist(partial(self.outbox.open, self.owner), self.attempts, Retries(), "publish", JobError)
        if self.backup is None:
            return
        try:
            self.persist(self.backup.open, self.attempts, Retries(), "backup")
        except Unusable as error:
            raise Unusable(f"--checkpoint_backup: {error}") from error
        except OSError as error:
            raise JobError(f"--checkpoint_backup: {self.backup.target.root}: {one_line(error)}") from error

    def save(self, seal: Seal, watch: Stopwatch) -> None:
        """The backup has the epoch when this returns."""
        if self.backup:
            with watch.phase("backup"):
                self._offer(seal, self._backup, "backup", partial(self.backup.take, seal), watch)
            reach(Step.BACKED_UP)

    def publish(self, seal: Seal, watch: Stopwatch) -> None:
        """Every sink has the epoch when this returns."""
        sealed = [(table, [DataFile(**file) for file in seal.files.get(table.name, [])]) for table in self.tables]
        with watch.phase("publish"):
            for sink in self.sinks:
                if isinstance(sink, EpochSink):
                    bodies = [partial(sink.publish_epoch, seal.epoch, sealed)]
                else:
                    bodies = [partial(sink.publish, table, seal.epoch, files) for table, files in sealed]
                for body in bodies:
                    self._offer(seal, sink.name, "publish", body, watch)
        if self.outbox:
            with watch.phase("alerts"):
                self._offer(seal, "--alert", "publish", partial(self.outbox.take, seal.epoch, sealed), watch)
        reach(Step.PUBLISHED)

    def committed(self, seal: Seal, keep_epochs: int, watch: Stopwatch) -> None:
        """Tell the backup that the epoch was committed; from time to time, remove files that are no longer needed."""
        if self.backup:
            self._offer(seal, self._backup, "backup", partial(self.backup.commit, seal.epoch), watch)
        if seal.epoch % max(1, keep_epochs // 2):
            return  # to look for what is not needed takes dozens of requests, where a store is far away
        collect(self.checkpoint.store, self.checkpoint.fencing_token, keep_epochs)
        if self.backup:
            self._offer(seal, self._backup, "backup", partial(self.backup.collect, keep_epochs), watch)

    @property
    def _backup(self) -> str:
        return f"--checkpoint_backup: {self.backup.target.root}" if self.backup else ""

    def _offer(self, seal: Seal, place: str, kind: str, body: Callable[[], None], watch: Stopwatch) -> None:
        """Offer a sealed epoch to a place, with retries; after the last one a JobError names the place."""
        before = watch.retries[kind]

        def offer() -> None:
            self.checkpoint.check_fencing_token()
            body()

        try:
            self.persist(offer, self.attempts, watch.retries, kind)
        except (Superseded, UserError, StateDamaged):
            raise
        except Unusable as error:
            raise Unusable(f"{place}: epoch {seal.epoch} is sealed, and waits until this is mended: {error}") from error
        except Exception as error:
            tried = watch.retries[kind] - before + 1
            said = f"{place}: epoch {seal.epoch} is sealed, and was offered {tried} times: {one_line(error)}"
            raise JobError(said) from error
