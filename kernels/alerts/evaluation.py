"""Whether rules hold, window after window, for all series at once."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import polars as pl

from ecompulse.kernels.alerts.incidents import FIRING, RECOVERED
from ecompulse.kernels.alerts.rules import HOUR_MS, VALUE_DECIMALS, Against, Watch

_SHARE: Final = 10_000  # units of a share
_DAYS: Final = {Against.YESTERDAY: 1, Against.LAST_WEEK: 7}


def with_base(rows: pl.DataFrame, history: pl.DataFrame, watches: Sequence[Watch], timezone: str) -> pl.DataFrame:
    """Readings with `base`, the value of the window that each is compared with; null where there is none."""
    before = {watch.name: watch.window.size for watch in watches if watch.rule.against is Against.PREVIOUS}
    days = {watch.name: _DAYS[watch.rule.against] for watch in watches if watch.rule.against in _DAYS}
    rule, end = pl.col("rule"), pl.col("end")
    local = end.cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    shifted = local - pl.duration(days=rule.replace_strict(days, default=None, return_dtype=pl.Int64))
    # An hour that the clock skipped has nothing to compare with; of one that came twice it is the first.
    moment = shifted.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null").dt.epoch("ms")
    earlier = end - rule.replace_strict(before, default=None, return_dtype=pl.Int64)
    asked = rows.with_columns(compared=pl.coalesce(earlier, moment))
    values = history.select("watched", compared="end", base="value")
    found = asked.join(values, on=["watched", "compared"], how="left", maintain_order="left").drop("compared")
    scale = 10**VALUE_DECIMALS
    least = {watch.name: int(watch.rule.least * scale) for watch in watches if watch.rule.least and watch.rule.relative}
    too_small = pl.col("base") < rule.replace_strict(least, default=None, return_dtype=pl.Int128)
    return found.with_columns(base=pl.when(too_small.fill_null(value=False)).then(None).otherwise("base"))


def evaluate(rows: pl.DataFrame, watches: Sequence[Watch]) -> pl.DataFrame:
    """Runs, incidents and turns of readings, all series in one pass.

    Args:
        rows: `watched`, `rule`, `series`, `end`, `value`, `base`, and what is known of the series: `last`, `began`,
            `since` (ms or null); sorted by watched and end.
        watches: the rules.

    Returns:
        The rows with `run` (end of the first window of the run, null when the condition does not hold), `incident`
        (`since` of the one that is firing, null for none), and of a turn (`turned`) TURN_SCHEMA.
    """
    limits = _limits(watches)
    told = rows.join(limits, on="rule", how="left", maintain_order="left")
    told = told.with_columns(holds=_holds("limit"), back=~_holds("recover"))
    told = _runs(told)
    lasting = pl.col("run").is_not_null() & (pl.col("end") - pl.col("run") >= pl.col("hold")) & pl.col("holds")
    signal = pl.when(lasting.fill_null(value=False)).then(1).when(pl.col("back").fill_null(value=False)).then(0)
    firing = (pl.col("since").is_not_null()).cast(pl.Int32)
    told = told.with_columns(now_firing=pl.coalesce(signal.forward_fill().over("watched"), firing))
    was = pl.coalesce(pl.col("now_firing").shift(1).over("watched"), firing)
    told = told.with_columns(turned=pl.col("now_firing") != was)
    begun = pl.when(pl.col("turned") & (pl.col("now_firing") == 1)).then("run")
    told = told.with_columns(opened=pl.coalesce(begun.forward_fill().over("watched"), "since"))
    recovered = pl.col("now_firing") == 0
    return told.with_columns(
        incident=pl.when(~recovered).then("opened"),
        state=pl.when(recovered).then(pl.lit(RECOVERED)).otherwise(pl.lit(FIRING)),
        began="opened",
        until=pl.when(recovered).then("end"),
    )


def _limits(watches: Sequence[Watch]) -> pl.DataFrame:
    """Per rule its condition, limit and recovery (in units), `for` and greatest distance of windows (ms)."""
    rows = []
    for watch in watches:
        rule, scale = watch.rule, _SHARE if watch.rule.relative else 10**VALUE_DECIMALS
        if rule.absent is not None:
            continue
        back = rule.limit if rule.recover is None else rule.recover
        assert isinstance(back, Decimal)  # noqa: S101  # the rule has checked it
        step = watch.window.slide + (HOUR_MS if watch.window.daily else 0)
        strict = rule.recover is not None
        rows.append((watch.name, rule.condition, int(rule.limit * scale), int(back * scale), strict, rule.hold, step))
    schema = {
        "rule": pl.String, "condition": pl.String, "limit": pl.Int128, "recover": pl.Int128, "eased": pl.Boolean,
        "hold": pl.Int64, "step": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _holds(column: str) -> pl.Expr:
    """Whether the condition holds at a limit; null where nothing can be said. Exact, in whole numbers.

    At a limit of recovery that was given, being just there is being back.
    """
    value, limit, condition = pl.col("value"), pl.col(column), pl.col("condition")
    base = pl.when(pl.col("base") != 0).then("base")
    change = (value - base) * _SHARE  # against limit * |base|
    fall = (base - value) * _SHARE
    reached = limit * pl.max_horizontal(base, 0 - base)
    strict = pl.col("eased") & pl.lit(column == "recover")
    return (
        pl.when(condition == "above").then(value > limit)
        .when(condition == "below").then(value < limit)
        .when(condition == "drop").then(pl.when(strict).then(fall > reached).otherwise(fall >= reached))
        .when(condition == "rise").then(pl.when(strict).then(change > reached).otherwise(change >= reached))
    )  # fmt: skip


def _runs(told: pl.DataFrame) -> pl.DataFrame:
    """`run`: end of the first window of those in a row in which the condition holds; windows without a value skip."""
    gap = pl.col("end") - pl.coalesce(pl.col("end").shift(1).over("watched"), "last") > pl.col("step")
    gap = gap.fill_null(value=False)
    # Each stretch begins at a gap, at the first row, or behind a row where the condition does not hold.
    broken = (pl.col("holds") == False).fill_null(value=False)  # noqa: E712  # null is neither
    told = told.with_columns(
        stretch=(gap.cast(pl.Int64) + broken.cast(pl.Int64)).cum_sum().over("watched"), gap=gap, broken=broken
    )
    held = pl.col("holds").fill_null(value=False)
    first = pl.when(held).then("end").min().over("watched", "stretch")
    carried = pl.when((pl.col("stretch") == 0) & pl.col("began").is_not_null()).then("began")
    reached = pl.when(held).then(1).forward_fill().over("watched", "stretch").is_not_null()
    run = pl.when(pl.col("broken")).then(None).otherwise(pl.coalesce(carried, pl.when(reached).then(first)))
    return told.with_columns(run=run)
