"""Topics as a sink: each epoch once, whatever dies when.

A writer's epoch is one transaction of its records and its line in the ledger: initialise (which fences whoever
wrote before and ends what they left), read the ledger, skip what it has, else begin, write, send the ledger's
offset, commit. After any error all writers are dropped, and the next attempt begins at initialising.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.sinks import NOBODY, DataFile, Owner, TableSpec
from ecompulse.epochs.state import read_verified
from ecompulse.epochs.steps import Step, reach
from ecompulse.io.kafka.address import parse_address
from ecompulse.io.kafka.reader import PYTHON
from ecompulse.io.kafka.records import Naming, Records, divide
from ecompulse.io.kafka.settings import ClientSettings
from ecompulse.io.kafka.units import OFFSETS, SCAN, on_all, open_writer, units_of
from ecompulse.io.payloads.writing import Encoding
from ecompulse.io.sinks.registry import SinkContext

if TYPE_CHECKING:
    from ecompulse.io.kafka.cluster import Cluster
    from ecompulse.io.kafka.confluent_writer import ConfluentWriter
    from ecompulse.io.kafka.ledger import Entry, Ledger
    from ecompulse.io.kafka.writer import Writer

Share = dict[int, list[Records]]
"""Records by writer."""


def open_topics(uri: str, context: SinkContext) -> "KafkaSink":
    """The sink of `kafka://HOST:PORT[,HOST:PORT]`; UserError for an address that is none, or names a topic."""
    if parse_address(uri, "--sink").topics:
        raise UserError(f"--sink: {uri}: names a topic; topics are named after outputs, see --topic_prefix")
    naming = Naming(context.topic_prefix, context.routes)
    client = context.client or PYTHON
    outputs, units = context.outputs, context.units
    return KafkaSink(uri, outputs, naming, units, context.kafka, context.ledger, client, context.encoding)


@dataclass
class KafkaSink:
    """Topics of a cluster, one per output.

    Attributes:
        uri: `kafka://host:port[,host:port]`.
        outputs: store that the epoch's files are in.
        naming: of topics.
        units: writers, each with one transaction per epoch.
        settings: of clients.
        ledger_by: `offsets`, or `scan` when they have expired.
        client: `python`, or `confluent`: several times as fast, and slow to go on after its broker was restarted inside
            a transaction.
        encoding: of values; None for JSON.
    """

    uri: str
    outputs: Store
    naming: Naming = field(default_factory=Naming)
    units: int = 1
    settings: ClientSettings = field(default_factory=ClientSettings)
    ledger_by: str = OFFSETS
    client: str = PYTHON
    encoding: Encoding | None = None
    _owner: Owner = NOBODY
    _ledger: "Ledger | None" = None
    _cluster: "Cluster | None" = None
    _writers: dict[int, "Writer | ConfluentWriter"] = field(default_factory=dict)
    _done: dict[int, "Entry"] | None = None  # the ledger, as long as the writers that read it live

    @property
    def name(self) -> str:
        """Where it writes."""
        return f"{self.uri.rstrip('/')}/{self.naming.prefix}*"

    @property
    def cluster(self) -> "Cluster":
        """The brokers."""
        if self._cluster is None:
            from ecompulse.io.kafka.cluster import Cluster  # noqa: PLC0415  # its client is an extra, slow to import

            self._cluster = Cluster(parse_address(self.uri, "--sink").servers, self.settings, "--sink")
        return self._cluster

    def check(self) -> None:
        """Raise UserError when the brokers do not answer or refuse us; nothing is made."""
        if self.encoding:
            self.encoding.registry.check()
        try:
            self.cluster.admin()
        except ModuleNotFoundError as error:
            raise UserError(f"--sink: {self.uri}: {error.name} is missing; pip install 'ecompulse[kafka]'") from None

    def close(self) -> None:
        """End the connections that are kept for the next epoch."""
        self._drop()
        if self._cluster is not None:
            self._cluster.close()

    def open(self, tables: Sequence[TableSpec], owner: Owner) -> None:
        """Make the topics that are missing and take over from an earlier driver; UserError when we may not."""
        from ecompulse.io.kafka.cluster import LARGEST_RECORD  # noqa: PLC0415  # an extra
        from ecompulse.io.kafka.ledger import OPTIONS, TOPIC, Ledger  # noqa: PLC0415  # an extra

        ledger = self.naming.topic(TOPIC)
        large: dict[str, object] = {"configs": {"max.message.bytes": str(LARGEST_RECORD)}}
        wanted: dict[str, dict[str, object]] = dict.fromkeys(self.naming.topics(tables), large)
        wanted[ledger] = {"num_partitions": self.units, "configs": dict(OPTIONS)}
        there = self.cluster.topics(list(wanted))
        self.cluster.create({topic: options for topic, options in wanted.items() if topic not in there})
        if ledger in there and len(there[ledger].partitions) < self.units:
            self.cluster.grow(ledger, self.units)
        group = f"ecompulse/{owner.checkpoint}/{self.naming.prefix or 'kafka'}"
        self._ledger = Ledger(self.cluster.servers, self.settings, ledger, group)
        self._owner = owner
        self._guarded(partial(self._start, owner), "open")

    def _start(self, owner: Owner) -> None:
        """Fence an earlier driver; UserError for rows of another checkpoint, which cannot go, and for later epochs."""
        self._begin([0])
        ledger = self._opened()
        entry = ledger.read([0]).get(0)
        if entry:
            owner.check_copy(f"--sink: {self.name}", entry.epoch)
        others = [] if entry else ledger.others(owner, self.cluster)
        if others:
            raise UserError(
                f"--sink: {self.name} has rows of {owner.name} from another checkpoint ({others[0][:12]}), and topics "
                "cannot be replaced; give another --topic_prefix, or --instance=NAME to keep both side by side"
            )

    def publish(self, table: TableSpec, epoch: int, files: Sequence[DataFile]) -> None:
        """An epoch of a single table; see `publish_epoch`."""
        self.publish_epoch(epoch, [(table, files)])

    def publish_epoch(self, epoch: int, tables: Sequence[tuple[TableSpec, Sequence[DataFile]]]) -> None:
        """Make all rows of an epoch visible to read_committed readers, once; each writer's share is one atom."""
        frames = [(table, self._frame(files)) for table, files in tables if files]
        self._guarded(partial(self._publish, epoch, frames), f"epoch {epoch}")

    def _frame(self, files: Sequence[DataFile]) -> pl.DataFrame:
        contents = (read_verified(self.outputs, file.path, file.sha256) for file in files)
        return pl.concat([pl.read_parquet(content) for content in contents])

    def _publish(self, epoch: int, frames: Sequence[tuple[TableSpec, pl.DataFrame]]) -> None:
        done = self._done if self._done is not None else self._take_over(epoch)
        units = units_of(done, epoch, self.units)
        missing = [unit for unit in range(units) if done[unit].epoch < epoch]
        if not missing or not frames:
            return
        share: Share = {}
        for table, frame in frames:
            for unit, records in divide(table, frame, self.naming, units, self.encoding).items():
                share.setdefault(unit, []).extend(records)
        after = {unit: replace(done[unit], epoch=epoch, units=units) for unit in missing}
        on_all(missing, lambda unit: self._writers[unit].write(share.get(unit, []), after[unit]))
        self._done = {**done, **after}

    def _take_over(self, epoch: int) -> dict[int, "Entry"]:
        """Fence all writers that there ever were, then read the ledger.

        Writer 0 comes first: its entry says how many there were, and once it is ours nobody can raise that number.
        """
        ledger = self._opened()
        self._begin([0])
        first = ledger.read([0]).get(0) or self._missing(0, epoch).get(0)
        before = first.most if first else 0
        units = range(max(self.units, before))
        self._begin(units)
        done = ledger.read(units)
        reach(Step.KAFKA_LEDGER_READ)
        for unit in range(before):
            if unit not in done:
                done |= self._missing(unit, epoch)
        return self._register(done, before)

    def _missing(self, unit: int, epoch: int) -> dict[int, "Entry"]:
        """What the ledger's topic says of a writer whose offset is not there; UserError unless that is to be asked."""
        if epoch > 1 and self.ledger_by != SCAN:
            raise UserError(
                f"--sink: {self.name}: writer {unit} has no entry in the ledger at epoch {epoch}: the sink is new "
                "to this checkpoint, or the brokers' offsets.retention.minutes have passed since the last epoch; "
                f"--ledger=scan reads the tail of topic {self._opened().topic} instead"
            )
        return self._opened().scan([unit], self.cluster)

    def _register(self, done: dict[int, "Entry"], before: int) -> dict[int, "Entry"]:
        """Give each writer an entry before it writes anything; writer 0, whose entry counts them, comes last."""
        from ecompulse.io.kafka.ledger import Entry  # noqa: PLC0415  # an extra

        units = max(self.units, before)
        owner = self._owner.name
        known = {unit: done.get(unit, Entry(0, units, units, owner)) for unit in range(units)}
        known[0] = replace(known[0], most=units, owner=owner)
        on_all(
            [unit for unit in range(1, units) if unit not in done],
            lambda unit: self._writers[unit].write([], known[unit]),
        )
        if done.get(0) != known[0]:
            self._writers[0].write([], known[0])
        self._done = known
        return known

    def _begin(self, units: Sequence[int]) -> None:
        fresh = {unit: open_writer(self.client, self._opened(), unit) for unit in units if unit not in self._writers}
        self._writers.update(fresh)
        on_all(list(fresh), lambda unit: fresh[unit].begin())

    def _guarded(self, body: Callable[[], None], what: str) -> None:
        """Call it; after any error the writers are dropped, since nobody knows what became of their transactions."""
        from kafka.errors import AuthorizationError, KafkaError  # noqa: PLC0415  # an extra

        from ecompulse.io.kafka.cluster import one_line  # noqa: PLC0415  # an extra

        try:
            body()
        except BaseException as error:
            self._drop()
            where = f"--sink: {self.name}: {what}"
            if isinstance(error, AuthorizationError):
                raise UserError(f"{where}: no permission: {one_line(error)}") from None
            if isinstance(error, UserError) and not str(error).startswith("--"):
                raise UserError(f"{where}: {error}") from None
            if isinstance(error, KafkaError | OSError | JobError):
                raise JobError(f"{where}: {one_line(error)}") from error
            raise

    def _drop(self) -> None:
        writers, self._writers, self._done = self._writers, {}, None
        for writer in writers.values():
            with suppress(Exception):  # what is broken may not close; it is dropped all the same
                writer.close()

    def _opened(self) -> "Ledger":
        if self._ledger is None:
            raise ValueError("open() comes first")
        return self._ledger
