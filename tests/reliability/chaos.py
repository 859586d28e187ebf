"""`make chaos`: a live topic, a job that follows it, and a seeded schedule of SIGKILLs for the job and its servers.

The job dies at a random step of its protocol or at a random moment; broker, PostgreSQL and Redis die while the job
stands still at a step, and come back a little later on the same port and data. In the end all sinks are read.
"""

import argparse
import sys
import time
from collections.abc import Callable

from reliability.kills import Chaos
from reliability.places import live_shop, produced, say, shown
from support.live import LiveShop, Verdict, verdict


def unleash(
    shop: LiveShop, *, kills: int, each: int, seed: int, rate: float, say: Callable[[str], None]
) -> tuple[Chaos, Verdict]:
    """Kill a job and its servers while a producer goes on; then drain, and read all sinks."""
    chaos = Chaos(shop, kills, each, seed, say)
    with produced(shop, rate):
        chaos.run()
    chaos.drain()
    return chaos, verdict(shop)


def main() -> int:
    """Run it; 1 when a sink is not what it should be."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100, help="of the job; each server: a twentieth of it")
    parser.add_argument("--rate", type=float, default=200, help="events per second")
    given = parser.parse_args()
    began, each = time.monotonic(), max(1, given.kills // 20)
    with live_shop("chaos", given.rate) as shop:
        chaos, found = unleash(shop, kills=given.kills, each=each, seed=given.seed, rate=given.rate, say=say)
    say(f"\nseed {given.seed}, {len(shop.lives)} starts of the job, {time.monotonic() - began:.0f} s")
    say("\n".join(["", *chaos.table(), "", *shown(found)]))
    return 0 if found.whole else 1


if __name__ == "__main__":
    sys.exit(main())
