"""Which receivers an alert goes to: by table, severity and rule, in YAML."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from ecompulse.io.alerts.alert import TABLES, Alert
from ecompulse.kernels.alerts.rules import standard_rules
from ecompulse.kernels.config import ConfigError, nearest, parse_yaml

SEVERITIES: Final = ("info", "warning", "critical")
_KEYS: Final = ("table", "severity", "rule", "to", "continue")


@dataclass(frozen=True)
class Route:
    """What is sent where.

    Attributes:
        tables: of alerts; empty for all.
        severities: of SEVERITIES; empty for all.
        rules: patterns with `*` and `?`; empty for all.
        to: names of receivers; empty: to nobody.
        goes_on: whether later routes are asked too.
    """

    to: tuple[str, ...]
    tables: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    goes_on: bool = False

    def takes(self, alert: Alert) -> bool:
        """Whether an alert is meant."""
        return (
            (not self.tables or alert.table in self.tables)
            and (not self.severities or alert.severity in self.severities)
            and (not self.rules or any(fnmatchcase(alert.rule, rule) for rule in self.rules))
        )


@dataclass(frozen=True)
class Routing:
    """Routes in order: the first that takes an alert says where it goes, with `continue` the next one too."""

    routes: tuple[Route, ...]

    def receivers(self, alert: Alert) -> tuple[str, ...]:
        """Names of receivers, each once."""
        found: list[str] = []
        for route in self.routes:
            if route.takes(alert):
                found += route.to
                if not route.goes_on:
                    break
        return tuple(dict.fromkeys(found))


def parse_routes(text: str, names: Sequence[str]) -> Routing:
    """Routes of YAML: a list under `routes`, each with `to`, and `table`, `severity`, `rule`, `continue` if need be.

    Raises:
        ConfigError: names the key that is wrong.
    """
    loaded = parse_yaml(text)
    if not isinstance(loaded, dict) or set(loaded) != {"routes"} or not isinstance(loaded["routes"], list):
        raise ConfigError("routes", "wants a list of routes under this key, and nothing else")
    return Routing(tuple(_route(f"routes[{at}]", given, names) for at, given in enumerate(loaded["routes"])))


def _route(path: str, given: Any, names: Sequence[str]) -> Route:
    if not isinstance(given, dict):
        raise ConfigError(path, "wants keys: to, and table, severity, rule, continue")
    for key in given:
        if key not in _KEYS:
            raise ConfigError(f"{path}.{key}", f"unknown key{nearest(str(key), _KEYS)}")
    if "to" not in given:
        raise ConfigError(f"{path}.to", "required: names of receivers, [] for nobody")
    goes_on = given.get("continue", False)
    if not isinstance(goes_on, bool):
        raise ConfigError(f"{path}.continue", "wants true or false")
    return Route(
        to=_words(f"{path}.to", given["to"], names),
        tables=_words(f"{path}.table", given.get("table", []), sorted(TABLES)),
        severities=_words(f"{path}.severity", given.get("severity", []), SEVERITIES),
        rules=_words(f"{path}.rule", given.get("rule", []), None),
        goes_on=goes_on,
    )


def known_rules() -> Mapping[str, frozenset[str]]:
    """Rules that every shop has, by table: the standard ones, and those that are no user's to name."""
    return {
        "metric_alerts": frozenset(standard_rules().rules),
        "anomaly_alerts": frozenset({"anomaly_point", "anomaly_change", "anomaly_silence"}),
        "flagged_transactions": frozenset({"fraud_score"}),
        "abandonment_alerts": frozenset({"abandoned_cart", "abandoned_checkout"}),
    }


def check_rules(routing: Routing, own: Mapping[str, Collection[str]]) -> None:
    """ConfigError for a pattern of rules that none matches; `own`: those of the job, by the tables that it writes.

    Routes on other jobs' tables are theirs to check: a file of routes may be of several jobs.
    """
    known = {table: rules | {*own.get(table, ())} for table, rules in known_rules().items()}
    for at, route in enumerate(routing.routes):
        tables = route.tables or tuple(known)
        rules = {rule for table in tables for rule in known[table]}
        for pattern in route.rules if own.keys() & set(tables) else ():
            if not any(fnmatchcase(rule, pattern) for rule in rules):
                other = "" if route.tables else " (one of another job wants its table beside it)"
                raise ConfigError(f"routes[{at}].rule", f"{pattern!r} matches no rule{other}{nearest(pattern, rules)}")


def _words(path: str, given: Any, known: Sequence[str] | None) -> tuple[str, ...]:
    words = given if isinstance(given, list) else [given]
    for word in words:
        if not isinstance(word, str):
            raise ConfigError(path, f"wants a name or a list of names, not {word!r}")
        if known is not None and word not in known:
            raise ConfigError(path, f"{word!r} is none{nearest(word, known)}")
    return tuple(words)


def to_all(names: Sequence[str]) -> Routing:
    """Every alert to every receiver."""
    return Routing((Route(tuple(names)),))


def named(texts: Sequence[tuple[str | None, str]]) -> Mapping[str, str]:
    """URLs by the names of their receivers: as given, or the scheme, with a number where it is there already."""
    found: dict[str, str] = {}
    for name, url in texts:
        base = name or url.partition(":")[0]
        free = next(each for each in (base, *(f"{base}_{n}" for n in range(2, len(texts) + 2))) if each not in found)
        found[free] = url
    return found
