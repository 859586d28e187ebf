"""Shares of an epoch's rows that nobody wants, over the last epochs: they rise, and are over when they are over."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_EPOCHS: Final = 2
_LEAST: Final = 10  # rows; fewer are no sign
_DEAD: Final = 0.05  # as in the rule DeadLettersSpike
_FLAGGED: Final = 0.1  # as in the rule FraudBurst


def shares_of(epochs: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Lines for the shares that are too large."""
    lines = []
    last = [epoch for epoch in epochs if epoch["numInputRows"]][-_EPOCHS:]
    read = sum(epoch["numInputRows"] for epoch in last)
    dead = _rows(last, "dead_letters")
    if dead > _LEAST and dead > _DEAD * read:
        lines.append(f"{dead / read:.0%} of the rows of the last epochs are dead letters")
    last = [epoch for epoch in epochs if epoch["sink"]["tables"].get("risk_scores")][-_EPOCHS:]
    scored, flagged = _rows(last, "risk_scores"), _rows(last, "flagged_transactions")
    if flagged > _LEAST and flagged > _FLAGGED * scored:
        lines.append(f"{flagged / scored:.0%} of the payments of the last epochs are flagged")
    return lines


def _rows(epochs: Sequence[Mapping[str, Any]], table: str) -> int:
    return sum(epoch["sink"]["tables"].get(table, 0) for epoch in epochs)
