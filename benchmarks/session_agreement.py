"""Sessions by gap beside a shop's own session ids: how often do they agree on neighbouring events?

`python benchmarks/session_agreement.py FILE [mapping]`. Two events of one visitor that follow each other are in one
session or not, by the gap and by the shop; the table counts the four cases.
"""

import sys

import polars as pl

from ecompulse.io.files import FileSource
from ecompulse.kernels.decode import decode
from ecompulse.kernels.event import ORDER
from ecompulse.kernels.mapping import load_mapping

GAPS = (5, 15, 30, 60)  # minutes


def read(path: str, mapping: str) -> pl.DataFrame:
    """Events with a visitor and the shop's session."""
    source = FileSource(path, 0)
    splits = source.plan({}, 10**9, {}, whole=True).splits
    frames = [
        decode(rows, 2**42, load_mapping(mapping)).events for split in splits for rows in source.reader().read(split)
    ]
    return pl.concat(frames).with_columns(visitor=pl.coalesce("user_id", "anonymous_id")).sort("visitor", *ORDER)


def agreement(events: pl.DataFrame, gap_minutes: int) -> pl.DataFrame:
    """Pairs of neighbouring events by whether gap and shop keep them together."""
    pairs = events.select(
        neighbours=pl.col("visitor") == pl.col("visitor").shift(1),
        by_gap=pl.col("event_time") - pl.col("event_time").shift(1) < pl.duration(minutes=gap_minutes),
        by_shop=pl.col("session_id") == pl.col("session_id").shift(1),
    )
    return pairs.filter("neighbours").group_by("by_gap", "by_shop").len("pairs").sort("by_gap", "by_shop")


def main() -> None:
    """Print agreement for each gap."""
    events = read(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "rees46")
    for gap in GAPS:
        found = {(gap_, shop): pairs for gap_, shop, pairs in agreement(events, gap).rows()}
        total = sum(found.values())
        same = found.get((True, True), 0) + found.get((False, False), 0)
        print(
            f"gap {gap:>2} min: {same / total:.2%} of {total:,} pairs agree; "
            f"split only by the shop {found.get((True, False), 0)}, only by the gap {found.get((False, True), 0)}"
        )


if __name__ == "__main__":
    main()
