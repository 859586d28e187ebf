"""Metrics bound to the columns of a stream: names and types checked, expressions compiled."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from operator import and_
from typing import Final

import polars as pl

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.durations import LONGEST_MS
from ecompulse.kernels.metrics.definition import Metric, MetricSet
from ecompulse.kernels.metrics.expressions import Expression, event_types, names, tells_types_only
from ecompulse.kernels.metrics.measures.base import Aggregate, Part
from ecompulse.kernels.metrics.plan import Bound, Plan, Spec
from ecompulse.kernels.metrics.schemas import slice_schema
from ecompulse.kernels.metrics.typed import Columns, Type

AMOUNTS: Final = ("price", "discount", "amount", "tax", "shipping")
"""Fields of money; `<field>_base` is the same in the base currency."""

DEFAULT_FILL: Final = 10
_LONGEST_FILL: Final = 10 * LONGEST_MS  # times beyond the year 200,000 are none
_VISITOR: Final = "visitor"


def bind(
    metrics: MetricSet,
    schema: pl.Schema,
    *,
    base_currency: str | None = None,
    timezone: str = "UTC",
    lateness: int = 0,
    fill: int = DEFAULT_FILL,
    skip: bool = False,
) -> Plan:
    """Check metrics against the columns of a stream.

    With a `base_currency`, a field of money (`AMOUNTS`) means its `*_base` column, and a row without a rate has no
    amount; without one, amounts of each currency are a series of their own. Where the stream has no `visitor`, it
    is `user_id`, else `anonymous_id`.

    Args:
        metrics: the definitions.
        schema: columns of the stream.
        base_currency: ISO 4217.
        timezone: of windows of whole days.
        lateness: ms.
        fill: for metrics that do not say.
        skip: leave out metrics that name an absent column (`Plan.skipped`), as for the shipped set over a stream
            that is not enriched; else that is an error.

    Raises:
        ConfigError: with the path of the wrong expression.
    """
    if lateness < 0:
        raise ConfigError("allowed_lateness", f"must be 0 or more, not {lateness}")
    columns = _columns(schema, base_currency)
    bound, skipped = [], {}
    for name, metric in metrics.metrics.items():
        missing = sorted(_named(metric) - set(columns.schema))
        if missing and skip:
            skipped[name] = f"the stream has no column {', '.join(missing)}"
        else:
            bound.append(_bind(name, metric, columns, base_currency, timezone, fill))
    used = {part for one in bound for part in one.spec.parts}
    return Plan(tuple(bound), timezone, lateness, skipped, slice_schema(used))


def _columns(schema: pl.Schema, base_currency: str | None) -> Columns:
    known, instead = dict(schema), {}
    if _VISITOR not in known and {"user_id", "anonymous_id"} <= set(known):
        known[_VISITOR] = pl.String()
        instead[_VISITOR] = pl.coalesce("user_id", "anonymous_id")
    if base_currency:
        for name in AMOUNTS:
            known.pop(name, None)
            if f"{name}_base" in known:
                known[name] = known[f"{name}_base"]
                instead[name] = pl.col(f"{name}_base")
    return Columns(pl.Schema(known), instead)


def _expressions(metric: Metric) -> dict[str, Expression]:
    """Every expression of a metric by its path."""
    found = {f"dimensions.{name}": expression for name, expression in metric.dimensions.items()}
    if metric.filter:
        found["filter"] = metric.filter
    for at, part in enumerate(metric.measure.parts):
        found |= {f"measure[{at}].{key}": e for key, e in (("of", part.of), ("where", part.where)) if e}
    return found


def _named(metric: Metric) -> frozenset[str]:
    return frozenset[str]().union(*(names(e.tree) for e in _expressions(metric).values()))


def _bind(name: str, metric: Metric, columns: Columns, base_currency: str | None, timezone: str, fill: int) -> Bound:
    try:
        parts = _aggregates(metric, columns)
        dimensions = {key: _dimension(key, e, columns) for key, e in metric.dimensions.items()}
        currency = _currency(metric, columns, base_currency)
    except ConfigError as error:
        raise ConfigError(f"metrics.{name}.{error.path}", error.message) from None
    measure, filled = metric.measure, fill if metric.fill is None else metric.fill
    if filled * max(window.slide for window in metric.windows) > _LONGEST_FILL:
        raise ConfigError(f"metrics.{name}.fill", f"{filled} windows of these are longer than 1,000 years; give fewer")
    spec = Spec(
        name, _mark(metric, base_currency, timezone), measure.bare, tuple(part.measure for part in parts),
        tuple((part.by or part).scale for part in parts), metric.slice_ms(timezone), metric.windows, metric.lag,
        filled, metric.early, tuple(dimensions), _item(metric),
    )  # fmt: skip
    read = {columns.instead[n].meta.root_names()[0] if n in columns.instead else n for n in _named(metric)}
    read |= {"user_id", "anonymous_id"} if _VISITOR in _named(metric) and _VISITOR in columns.instead else set()
    read |= {"currency"} if currency is not None and base_currency is None else set()
    label = (str(currency), *(f"{key}:{e.text}" for key, e in metric.dimensions.items()))
    return Bound(spec, parts, dimensions, currency, frozenset({*read, "event_time", "event_type"}), label)


def _item(metric: Metric) -> str:
    """The column that a ranking ranks, else `item`."""
    ranked = metric.measure.parts[0].of
    if not metric.measure.unbounded or ranked is None:
        return ""
    plain = ranked.text.isidentifier() and ranked.text not in metric.dimensions
    return ranked.text if plain else "item"


def _mark(metric: Metric, base_currency: str | None, timezone: str) -> str:
    daily = timezone if any(window.daily for window in metric.windows) else ""
    said = {path: e.text for path, e in _expressions(metric).items()}
    parts = [part.measure.name for part in metric.measure.parts]
    what = (metric.measure.name, parts, said, metric.windows, metric.lag, base_currency, daily)
    return hashlib.sha256(repr(what).encode()).hexdigest()[:12]


def _aggregates(metric: Metric, columns: Columns) -> tuple[Aggregate, ...]:
    measure = metric.measure
    made = [_aggregate(n, part, metric, columns) for n, part in enumerate(measure.parts)]
    return measure.aggregates(made)


def _aggregate(at: int, part: Part, metric: Metric, columns: Columns) -> Aggregate:
    where = f"measure[{at}].where"
    given = [(path, e) for path, e in (("filter", metric.filter), (where, part.where)) if e is not None]
    compiled = []
    for path, expression in given:
        with _at(path):
            condition = expression.condition(columns)
        if not tells_types_only(expression.tree):  # rows of other types are not even looked at
            compiled.append(condition)
    sets = [types for _, e in given if (types := event_types(e.tree)) is not None]
    with _at(f"measure[{at}].{part.measure.name}"):
        value, scale = part.measure.column(part.of.compile(columns), part.of.text) if part.of else (None, 0)
    label = (part.measure.name, part.of.text if part.of else "", *(e.text for _, e in given))
    types = frozenset.intersection(*sets) if sets else None
    return Aggregate(part.measure, value, scale, reduce(and_, compiled) if compiled else None, types, label)


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Errors of an expression get its path."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(path, str(error)) from None


def _dimension(name: str, expression: Expression, columns: Columns) -> pl.Expr:
    with _at(f"dimensions.{name}"):
        found = expression.compile(columns)
        if found.type in (Type.TIME, Type.AMOUNT, Type.NULL):
            raise ValueError(f"{found.type.value} is no dimension")
    return found.expr.cast(pl.String)


def _currency(metric: Metric, columns: Columns, base_currency: str | None) -> pl.Expr | None:
    """Whose money the value is; None for a value that is no money, a ratio of two amounts too."""
    money = {*AMOUNTS, *(f"{name}_base" for name in AMOUNTS)}
    told = [names(part.of.tree) & money for part in metric.measure.parts if part.of and part.measure.money]
    named = frozenset[str]().union(*told)
    if not named:
        return None
    if base_currency is not None:
        return pl.lit(base_currency)
    based = sorted(name for name in named if name.endswith("_base"))
    if based:
        raise ConfigError("measure", f"{based[0]} needs a base currency; without one, name {based[0][:-5]}")
    if "currency" not in columns.schema:
        raise ConfigError("measure", "an amount needs a column `currency`, or a base currency")
    return pl.col("currency")
