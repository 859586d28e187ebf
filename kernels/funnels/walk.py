"""How far each walk through a funnel gets: all walks at once, one pass per stage."""

from collections.abc import Sequence

import polars as pl

from ecompulse.kernels.funnels.definition import Funnel


def reached(stage: int) -> str:
    """Name of the column with the time (ms) at which a stage was reached; null if it was not."""
    return f"reached_{stage}"


def advance(walks: pl.DataFrame, events: pl.DataFrame, funnel: Funnel) -> pl.DataFrame:
    """Take every walk as far as the events allow.

    Args:
        walks: `mode`, `stage` (Int64, last reached), `ended` (Boolean), `reached_0`, ... (Int64 ms, null if not
            reached), `_position` (Int64, of the event last taken, or before the first) and `_limit` (Int64,
            exclusive end of its events).
        events: stage events in order, each visitor's and session's together: `_at` (ms), `stage` (Int64).
        funnel: stages and maximum time.

    Returns:
        `walks` with `stage`, `ended` and times advanced, in the same order.
    """
    following = _following(events["stage"], len(funnel.stages))
    last = [max(funnel.admissible(stage), default=stage) for stage in range(len(funnel.stages))]
    for _ in funnel.stages[1:]:
        walks = _pass(walks, events, funnel, following, last)
    return walks


def _following(stages: pl.Series, count: int) -> list[pl.Series]:
    """Per stage: position of its first event at or after each position, null beyond the last."""
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    frame = stages.to_frame("stage").select(
        pl.when(pl.col("stage") == number).then(row).backward_fill().alias(str(number)) for number in range(count)
    )
    beyond = pl.Series([None], dtype=pl.Int64)
    return [frame[str(number)].append(beyond) for number in range(count)]


def _pass(
    walks: pl.DataFrame,
    events: pl.DataFrame,
    funnel: Funnel,
    following: Sequence[pl.Series],
    last: Sequence[int],
) -> pl.DataFrame:
    after = (walks["_position"] + 1).clip(upper_bound=events.height)
    furthest = pl.col("stage").replace_strict(range(len(last)), last, return_dtype=pl.Int64)
    found = walks.with_columns(
        following[number].gather(after).alias(f"_next_{number}") for number in range(len(following))
    ).with_columns(_furthest=furthest)
    strict, stage = pl.col("mode") == "strict", pl.col("stage")
    turns = [
        pl.when((stage != number) & (strict | ((stage < number) & (pl.col("_furthest") >= number)))).then(
            f"_next_{number}"
        )
        for number in range(len(following))
    ]
    best = pl.min_horizontal(turns)
    taken = found.select(best=pl.when((best < pl.col("_limit")) & ~pl.col("ended")).then(best))["best"]
    found = found.with_columns(_taken=taken, _met=events["stage"].gather(taken), _when=events["_at"].gather(taken))
    in_time = pl.col("_when") - pl.col(reached(0)) <= funnel.max_time
    turn = (pl.col("_met") > stage) & (pl.col("_met") <= pl.col("_furthest"))
    found = found.with_columns(_moves=(in_time & turn).fill_null(value=False))
    moves = pl.col("_moves")
    times = [
        pl.when(moves & (pl.col("_met") == number)).then("_when").otherwise(reached(number)).alias(reached(number))
        for number in range(1, len(following))
    ]
    stopped = pl.col("_taken").is_not_null() & ~moves
    return found.select(
        pl.exclude("stage", "ended", "_position", *[reached(number) for number in range(1, len(following))]),
        *times,
        stage=pl.when(moves).then("_met").otherwise("stage"),
        ended=pl.col("ended") | stopped,
        _position=pl.when(moves).then("_taken").otherwise("_position"),
    ).select(walks.columns)
