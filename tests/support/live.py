"""A job between servers: topics in, Redis beside, topics, a lake on S3 and PostgreSQL out, checkpoint on S3."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import polars.selectors as cs
import psutil
import sqlalchemy as sa
from deltalake import DeltaTable

import support
from ecompulse.epochs.steps import CRASH_AT
from ecompulse.io.s3 import storage_options
from ecompulse.io.sinks.lines import json_lines
from services import s3
from services.postgres import Databases
from services.server import Server
from support import watched
from support.far import frame_of
from support.forked import ForkedPopen
from support.numbered import Count, Numbered, sequences
from support.process import Shop, wait_until
from support.redis_rows import Rows
from support.topics import Topics

TESTS: Final = Path(support.__file__).parents[1]

STEPS: Final = """steps:
  user:
    lookup: '{url}'
    columns: {{tier: text}}
    on_error: fail
    breaker: {{failures: 3, reset: 1s}}
    cache: {{ttl: 1ms, negative_ttl: 1ms}}
"""


@dataclass
class Servers:
    """What the job stands between."""

    kafka: Server
    redis: Server
    postgres: Server
    moto: Server


@dataclass
class Life:
    """A process that runs the job, with what it leaves behind."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def times(self) -> list[tuple[float, str]]:
        """When it has reached which step, in seconds of the machine's clock."""
        path = self.folder / "trace"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(int(at) / 1e9, step) for at, step in lines]

    @property
    def trace(self) -> list[str]:
        """The steps that it has reached."""
        return [step for _, step in self.times]

    @property
    def progress(self) -> list[dict[str, Any]]:
        """Of each epoch that it has reported."""
        lines = (self.folder / "out").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    @property
    def said(self) -> str:
        """On stderr."""
        return (self.folder / "err").read_text()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def asleep(self) -> bool:
        """Stopped, by itself or others."""
        return not self.ended and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        wait_until(lambda: self.ended)
        return self.process.returncode


@dataclass
class LiveShop(Shop):
    """event_enrichment, its events in the warehouse too (`watched`), with places of its own on servers."""

    servers: Servers = None  # type: ignore[assignment]  # has no default; those of the base class have
    numbered: Numbered = field(default_factory=Numbered)
    partitions: int = 3

    def __post_init__(self) -> None:
        self.own = uuid.uuid4().hex[:8]
        self.topics = Topics(self.servers.kafka.facts["bootstrap"])
        self.topic = self.topics.make(self.partitions, f"live-{self.own}")
        self.prefix, self.bucket = f"{self.topic}.", f"live-{self.own}"
        self.topics.make(self.partitions, f"{self.prefix}enriched_events", **{"max.message.bytes": "8388608"})
        self.warehouse = Databases(self.servers.postgres).new()
        self.users = Rows(self.servers.redis, self.own)
        s3.client(self.servers.moto).create_bucket(Bucket=self.bucket)
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "steps.yaml").write_text(STEPS.format(url=self.users.url()))
        self.lives: list[Life] = []

    @property
    def module(self) -> str:
        """See Shop."""
        return watched.__name__

    @property
    def endpoint(self) -> str:
        """Of S3."""
        return self.servers.moto.facts["url"]

    def arguments(self, *flags: str) -> list[str]:
        """See Shop."""
        kafka = f"kafka://{self.topics.bootstrap}"
        return [
            f"--source={kafka}/{self.topic}",
            f"--enrich={self.root / 'steps.yaml'}",
            f"--checkpoint=s3://{self.bucket}/checkpoint",
            f"--checkpoint_backup=s3://{self.bucket}/backup",
            f"--lake=s3://{self.bucket}/lake",
            f"--s3_endpoint={self.endpoint}",
            f"--warehouse={self.warehouse}",
            f"--sink={kafka}",
            f"--topic_prefix={self.prefix}",
            "--sink_units=2",
            "--num_shards=2",
            *self.flags,
            *flags,
        ]

    def live(self, *flags: str, crash_at: str = "", sleep_at: str = "") -> Life:
        """A process that runs the job, and dies or stops itself at `step:occurrence`."""
        folder = self.root / f"life-{len(self.lives) + 1}"
        folder.mkdir()
        path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
        wanted = {CRASH_AT: crash_at, watched.SLEEP_AT: sleep_at, watched.TRACE: str(folder / "trace")}
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = ForkedPopen(
                [sys.executable, "-m", self.module, *self.arguments("--progress=json", *flags)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **s3.ENVIRONMENT, "PYTHONPATH": path, **wanted},
                cwd=folder,
            )
        self.lives.append(Life(process, folder))
        return self.lives[-1]

    def stop_all(self) -> None:
        """End what still runs."""
        for life in self.lives:
            if not life.ended:
                life.process.kill()
                life.process.wait()
        self.topics.close()

    def set_tier(self, tier: str) -> None:
        """What the look-up finds for every user from now on."""
        self.users.hashes({f"u{user}": {"tier": tier} for user in range(self.numbered.keys)})

    def lake(self, name: str = "enriched_events") -> pl.DataFrame:
        """A table of the lake, as the job wrote it."""
        uri = f"s3://{self.bucket}/lake"
        table = DeltaTable(f"{uri}/{name}", storage_options=storage_options(uri, self.endpoint))
        return frame_of(table.to_pyarrow_table()).drop("event_date").with_columns(cs.datetime().dt.cast_time_unit("ms"))

    def topic_values(self, name: str = "enriched_events") -> list[bytes]:
        """Values of an output's topic, as a read_committed consumer sees them, per partition in their order."""
        return [record.value or b"" for record in self.topics.committed(f"{self.prefix}{name}")]

    def warehoused(self, columns: list[str]) -> pl.DataFrame:
        """Events of the warehouse."""
        engine = sa.create_engine(self.warehouse, poolclass=sa.NullPool)
        query: sa.Select[Any] = sa.select(*map(sa.column, columns)).select_from(sa.table("enriched_events"))
        with engine.connect() as connection:
            rows = connection.execute(query).fetchall()
        return pl.DataFrame([tuple(row) for row in rows], schema=columns, orient="row", infer_schema_length=None)


@dataclass(frozen=True)
class Verdict:
    """The three sinks held against the sequence, and against each other.

    Attributes:
        source: the topic that was read: whether the producer itself lost or doubled any.
        in_order: whether each key's numbers rise in the topic.
        same_bytes: whether the topic's values are the lake's rows, byte for byte.
        same_rows: whether the warehouse has the lake's rows.
        letters: dead letters in the topic and in the lake are the bad lines, each once.
    """

    source: Count
    topic: Count
    lake: Count
    warehouse: Count
    in_order: bool
    same_bytes: bool
    same_rows: bool
    letters: bool

    @property
    def whole(self) -> bool:
        """All is well."""
        counts = (self.source, self.topic, self.lake, self.warehouse)
        return all(count.whole for count in counts) and all((
            self.in_order, self.same_bytes, self.same_rows, self.letters,
        ))  # fmt: skip


PLAIN: Final = cs.string() | cs.integer() | cs.boolean()
"""Columns of which PostgreSQL gives back what it was given."""


def verdict(shop: LiveShop) -> Verdict:
    """Read all sinks to their ends, and compare."""
    wanted = shop.numbered.wanted()
    sent = [record.value or b"" for record in shop.topics.committed(shop.topic)]
    written = shop.topic_values()
    topic = sequences(json.loads(value) for value in written)
    lake = shop.lake()
    columns = sorted(lake.select(PLAIN).columns)
    warehouse = shop.warehoused(columns)
    return Verdict(
        source=Count.of(sequences(map(as_row, filter(is_event, sent))), wanted),
        topic=Count.of(topic, wanted),
        lake=Count.of(sequences(lake.iter_rows(named=True)), wanted),
        warehouse=Count.of(sequences(warehouse.iter_rows(named=True)), wanted),
        in_order=all(numbers == sorted(numbers) for numbers in topic.values()),
        same_bytes=sorted(written) == sorted(json_lines(lake).splitlines()),
        same_rows=sorted(warehouse.rows(), key=repr) == sorted(lake.select(columns).rows(), key=repr),
        letters=letters_are_whole(shop, [value for value in sent if not is_event(value)]),
    )


def is_event(value: bytes) -> bool:
    """Not one of the bad lines."""
    return value.startswith(b"{")


def as_row(value: bytes) -> Mapping[str, Any]:
    """An event as it was sent, in the shape of a row."""
    event = json.loads(value)
    return {**event, "properties": json.dumps(event["properties"])}


def letters_are_whole(shop: LiveShop, bad: list[bytes]) -> bool:
    """Each bad line is once in the dead letters of lake and topic."""
    if shop.numbered.bad != len(bad):
        return False
    if not bad:
        return True
    topic = len(shop.topic_values("dead_letters"))
    return topic == len(bad) and sorted(shop.lake("dead_letters")["raw"].to_list()) == sorted(bad)
