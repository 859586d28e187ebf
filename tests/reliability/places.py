"""What chaos and soak share: servers that may be killed, settings of the job, words for what was found."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services import kafka, postgres, redis, s3
from services.server import Server
from support.live import LiveShop, Servers, Verdict
from support.numbered import Numbered, Producer

FLAGS: Final = ("--trigger=1s", "--keep_epochs=4", "--watermark_delay=30s", "--quality_window=1m")


def shown(found: Verdict) -> list[str]:
    """The verdict as lines."""
    lines = []
    for name in ("source", "topic", "lake", "warehouse"):
        count = getattr(found, name)
        lines.append(
            f"{name:10}{count.rows:>9} rows, lost {count.lost}, doubled {count.doubled}, strange {count.strange}"
        )
    flags = [item.name for item in fields(found) if isinstance(getattr(found, item.name), bool)]
    return [*lines, *(f"{name:12} {'yes' if getattr(found, name) else 'NO'}" for name in flags)]


def paced(rate: float) -> Callable[[int], int]:
    """Event times, in ms, of a sequence that begins now: when each event is due, no two of a key alike."""
    start = time.time_ns() // 1_000_000
    return lambda index: start + round(index * 1000 / rate)


@contextmanager
def mortal(folder: Path, moto: Server | None = None) -> Iterator[Servers]:
    """Servers of one's own, that may be killed; S3 is not, since it would forget all."""
    with ExitStack() as until:
        made = [module.start(folder / module.__name__.rpartition(".")[2]) for module in (kafka, redis)]
        until.callback(lambda: [server.stop() for server in made])
        database = until.enter_context(postgres.own(folder / "postgres"))
        if moto is None:
            moto = s3.start(folder / "moto")
            until.callback(moto.stop)
        yield Servers(made[0], made[1], database, moto)


@contextmanager
def live_shop(kind: str, rate: float, *, checkpoint_on_disk: bool = False) -> Iterator[LiveShop]:
    """A shop in a folder of its own, with servers of its own, which end with it, also by SIGTERM."""
    os.environ.update(s3.ENVIRONMENT)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end, too
    with TemporaryDirectory(prefix=f"ecompulse-{kind}-") as name, mortal(readable(Path(name))) as servers:
        root = Path(name) / "shop"
        flags = (*FLAGS, f"--checkpoint={root / 'checkpoint'}") if checkpoint_on_disk else FLAGS
        shop = LiveShop(root, "", flags, servers=servers, numbered=Numbered(time_of=paced(rate)))
        try:
            yield shop
        finally:
            shop.stop_all()


@contextmanager
def produced(shop: LiveShop, rate: float) -> Iterator[None]:
    """A producer of that many events per second meanwhile."""
    shop.set_tier("gold")
    producer = Producer(shop.topics, shop.topic, shop.numbered, rate).start()
    try:
        yield
    finally:
        producer.stop()


def say(line: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def readable(folder: Path) -> Path:
    """A folder that servers of other users can go through."""
    folder.chmod(0o755)
    return folder
