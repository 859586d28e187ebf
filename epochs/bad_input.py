"""Input that is mostly bad: an epoch of it is not sealed, since topic or mapping are most likely the wrong ones."""

from collections.abc import Iterator, Sequence
from typing import Final

from ecompulse.epochs.errors import Refused
from ecompulse.epochs.manifest import Manifest
from ecompulse.epochs.protocols import Source

LEAST_ROWS: Final = 1000
"""Least rows of a source in an epoch for which the share of dead letters is meaningful."""

_REASONS: Final = 3


def check_dead(manifest: Manifest, sources: Sequence[Source], limit: float) -> None:
    """Raise Refused, with the commonest reasons, when more than `limit` of a source's rows are dead letters."""
    for source, reasons in sorted(manifest.dead.items()):
        rows = sum(count for name, count in manifest.rows.items() if name.startswith(f"{source}/"))
        dead = sum(told["rows"] for told in reasons.values())
        if rows >= LEAST_ROWS and dead > limit * rows:
            uri = sources[int(source)].uri
            raise Refused(
                f"--max_dead_ratio: {uri}: {dead:,} of {rows:,} rows are dead letters, and nothing of them was sealed: "
                f"{'; '.join(commonest(manifest, source))}"
            )


def commonest(manifest: Manifest, source: str) -> Iterator[str]:
    """The commonest reasons for dead letters of a source, each with the message of one of them."""
    by_rows = sorted(manifest.dead[source].items(), key=lambda reason: (-reason[1]["rows"], reason[0]))
    return (f"{told['rows']:,} {rule} ({told['message']})" for rule, told in by_rows[:_REASONS])
