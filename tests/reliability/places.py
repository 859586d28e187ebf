"""What chaos and soak share: servers that may be killed, settings of the job, words for what was found."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Final

from services import kafka, postgres, redis, s3
from services.server import Server
from support.live import Servers, Verdict

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


def say(line: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def readable(folder: Path) -> Path:
    """A folder that servers of other users can go through."""
    folder.chmod(0o755)
    return folder
