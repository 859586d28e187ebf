"""Which session a settled row belongs to, and which rows are too late for any."""

from typing import Final

import polars as pl

SORTED: Final = ("visitor", "_at", "event_time", "source", "partition", "offset")
UNLIMITED: Final = 2**61
"""Maximum length (ms) that nothing reaches."""


def place(rows: pl.DataFrame, known: pl.DataFrame, gap: int, watermark: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sort settled rows, and take out those whose session has closed.

    A row that came behind the watermark cannot be put in its place among rows that are already counted.
    It stands after them (`_at` = end of its visitor's open session, if that is later), with its own time
    for `start`. It is late if its own window [event_time, event_time + gap) has closed and it cannot
    join a session that is still open: nearer than `gap` to the start of the one in state, or linked by rows
    of this step to an end that is less than `gap` behind the watermark. (Beam looks at the row's own window
    only, and also drops rows that an open session would take; Flink judges the merged window, as here.)

    Args:
        rows: as `settle` gives them.
        known: open sessions of their visitors (OPEN_SCHEMA).
        gap: ms.
        watermark: ms.

    Returns:
        Accepted rows, sorted by `SORTED`; late rows.
    """
    expired = pl.col("_behind") & (pl.col("_at") + gap <= watermark)
    if not rows["_behind"].any():
        return rows.sort(SORTED), rows.clear()
    spans = known.select("visitor", _from="start", _to="end")
    rows = rows.join(spans, on="visitor", how="left").with_columns(_expired=expired)
    apart = pl.col("_expired") & (pl.col("_at") <= pl.col("_from") - gap).fill_null(value=False)
    rows = rows.with_columns(_apart=apart, _at=pl.max_horizontal("_at", "_to")).sort(SORTED)
    before = pl.col("_at").shift(1)
    head = pl.col("visitor").ne_missing(pl.col("visitor").shift(1))
    breaks = head | (pl.col("_at") - before >= gap)
    closed = pl.col("_at").last().over(breaks.cum_sum()) + gap <= watermark
    late = pl.col("_apart") | (pl.col("_expired") & closed)
    private = ["_from", "_to", "_expired", "_apart"]
    return rows.filter(~late).drop(private), rows.filter(late).drop(private)


def number(rows: pl.DataFrame, known: pl.DataFrame, gap: int, longest: int) -> pl.DataFrame:
    """Number the sessions of sorted rows.

    A row at least `gap` after the one before begins a run. A run is cut at its first event + k * `longest`,
    k = 1, 2, ...: a session longer than the maximum ends with its last event before such a cut, and the
    next one begins with the first event after it. So every session is shorter than `longest`, and where
    it is cut follows from the events alone.

    Args:
        rows: accepted rows, sorted by `SORTED`.
        known: open sessions of their visitors (OPEN_SCHEMA).
        gap: ms.
        longest: ms, `UNLIMITED` for none.

    Returns:
        `rows` with `_head` (first row of its visitor), `_session` (Int64, 0 up), `_new` (begins a session),
        `_cut` (begins one because of the length), `_anchor` (ms, begin of the run).
    """
    rows = rows.with_columns(_head=pl.col("visitor").ne_missing(pl.col("visitor").shift(1)))
    carried = (
        rows.filter("_head")
        .select("visitor")
        .join(known.select("visitor", "end", "anchor"), on="visitor", how="left", maintain_order="left")
    )
    number_of_visitor = rows["_head"].cum_sum() - 1
    end, anchor = carried["end"].gather(number_of_visitor), carried["anchor"].gather(number_of_visitor)
    head = pl.col("_head")
    rows = rows.with_columns(_end=end, _anchor=anchor)
    before = pl.when(head).then("_end").otherwise(pl.col("_at").shift(1))
    rows = rows.with_columns(_run=(pl.col("_at") - before >= gap).fill_null(value=True))
    began = pl.when("_run").then("_at").when(head).then("_anchor").otherwise(None).forward_fill()
    rows = rows.with_columns(_carried=pl.col("_anchor"), _anchor=began)
    piece = (pl.col("_at") - pl.col("_anchor")) // longest
    carried_piece = (pl.col("_end") - pl.col("_carried")) // longest
    previous = pl.when(head).then(carried_piece).otherwise(piece.shift(1))
    rows = rows.with_columns(_cut=~pl.col("_run") & (piece != previous))
    new = pl.col("_run") | pl.col("_cut")
    session = ((new | head).cum_sum().cast(pl.Int64) - 1).set_sorted()
    return rows.with_columns(_new=new, _session=session).drop("_end", "_carried", "_run")
