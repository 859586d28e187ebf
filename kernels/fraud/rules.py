"""The shop's own policy: rules beside the model, and lists of ids that are never or always flagged."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Final

import polars as pl

from ecompulse.kernels.config import ConfigError, nearest, parse_config
from ecompulse.kernels.fraud.entity import FeatureSet

LISTED: Final = ("card_id", "visitor", "merchant_id")
_SIGNS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"above": operator.gt, "below": operator.lt}


@dataclass(frozen=True)
class Bound:
    """A bound on a feature; both may be given."""

    above: float | int | None = None
    below: float | int | None = None

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.above, self.below) if limit is not None]
        if not limits or any(isnan(limit) for limit in limits):
            raise ValueError("wants a number above, below, or both")


@dataclass(frozen=True)
class Policy:
    """Rules and lists.

    Attributes:
        rules: by name, bounds by feature; a rule holds where all of them do.
        allow: by column (card_id, visitor, merchant_id), ids that are never flagged.
        deny: ids that are always flagged, as far as the budget goes.
    """

    rules: Mapping[str, Mapping[str, Bound]] = field(default_factory=dict)
    allow: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deny: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, bounds in self.rules.items():
            if not bounds:
                raise ConfigError(f"rules.{name}", "wants a feature, with a bound")
        for part in ("allow", "deny"):
            for column in getattr(self, part):
                if column not in LISTED:
                    raise ConfigError(f"{part}.{column}", f"no column of a list{nearest(column, LISTED)}")

    def check(self, features: FeatureSet) -> None:
        """ConfigError for a rule of an unknown feature."""
        for name, bounds in self.rules.items():
            for feature in bounds:
                if feature not in features.names:
                    raise ConfigError(f"rules.{name}.{feature}", f"no feature{nearest(feature, features.names)}")

    def applied(self, rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
        """Rows with `rule` (the first that holds, null), `allowed` and `denied`; features are in `vector`."""
        rule = pl.lit(None, pl.String)
        for name, bounds in reversed(list(self.rules.items())):
            rule = pl.when(_holds(bounds, names)).then(pl.lit(name)).otherwise(rule)
        return rows.with_columns(rule=rule, allowed=_listed(self.allow), denied=_listed(self.deny))


def _holds(bounds: Mapping[str, Bound], names: list[str]) -> pl.Expr:
    found = pl.lit(value=True)
    for feature, bound in bounds.items():
        value = pl.col("vector").arr.get(names.index(feature))
        for sign, compare in _SIGNS.items():
            limit = getattr(bound, sign)
            if limit is not None:
                found &= compare(value, limit) & value.is_not_nan()
    return found.fill_null(value=False)


def _listed(lists: Mapping[str, tuple[str, ...]]) -> pl.Expr:
    found = pl.lit(value=False)
    for column, ids in lists.items():
        found |= pl.col(column).is_in(list(ids)).fill_null(value=False)
    return found


def parse_policy(text: str, origin: str = "") -> Policy:
    """The policy of a YAML text; `origin` (a file's name) begins each error.

    Raises:
        ConfigError: one line with the path of the wrong key.
    """
    return parse_config(Policy, text, origin)
