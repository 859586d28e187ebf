"""`make chaos`: a live topic, a job that follows it, and a seeded schedule of SIGKILLs for the job and its servers.

The job dies at a random step of its protocol or at a random moment; broker, PostgreSQL and Redis die while the job
stands still at a step, and come back a little later on the same port and data. In the end all sinks are read.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reliability.kills import Chaos
from reliability.places import FLAGS, mortal, paced, readable, say, shown
from services import s3
from support.live import LiveShop, Verdict, verdict
from support.numbered import Numbered, Producer


def unleash(
    shop: LiveShop, *, kills: int, each: int, seed: int, rate: float, say: Callable[[str], None]
) -> tuple[Chaos, Verdict]:
    """Kill a job and its servers while a producer goes on; then drain, and read all sinks."""
    shop.set_tier("gold")
    chaos = Chaos(shop, kills, each, seed, say)
    producer = Producer(shop.topics, shop.topic, shop.numbered, rate).start()
    try:
        chaos.run()
    finally:
        producer.stop()
    chaos.drain()
    return chaos, verdict(shop)


def main() -> int:
    """Run it; 1 when a sink is not what it should be."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100, help="of the job; each server: a twentieth of it")
    parser.add_argument("--rate", type=float, default=200, help="events per second")
    given = parser.parse_args()
    os.environ.update(s3.ENVIRONMENT)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end, too
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ecompulse-chaos-") as name, mortal(readable(Path(name))) as servers:
        shop = LiveShop(Path(name) / "shop", "", FLAGS, servers=servers, numbered=Numbered(time_of=paced(given.rate)))
        each = max(1, given.kills // 20)
        try:
            chaos, found = unleash(
                shop,
                kills=given.kills,
                each=each,
                seed=given.seed,
                rate=given.rate,
                say=say,
            )
        finally:
            shop.stop_all()
    say(f"\nseed {given.seed}, {len(shop.lives)} starts of the job, {time.monotonic() - began:.0f} s")
    say("\n".join(["", *chaos.table(), "", *shown(found)]))
    return 0 if found.whole else 1


if __name__ == "__main__":
    sys.exit(main())
