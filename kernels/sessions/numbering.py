"""Assigns settled rows to sessions, and finds the rows that are too late for any session."""

from typing import Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.rows import divided

WHO: Final = "_who"
"""Hash of the visitor."""

SORTED: Final = ("_who", "_at", "event_time", "source", "source_partition", "source_offset")
UNLIMITED: Final = 2**61
"""Maximum length (ms) that stands for no limit."""


def place(rows: pl.DataFrame, known: pl.DataFrame, gap: int, watermark: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sort settled rows, and take out those whose session has closed.

    A row that arrived behind the watermark cannot be inserted among rows that are already counted. It is placed after
    them (`_at` = end of its visitor's open session, if that is later), with its own time for `start`. It is late if its
    own window [event_time, event_time + gap) has closed and it cannot join a session that is still open: nearer than
    `gap` to the start of the one in state, or linked by rows of this step to an end that is less than `gap` behind the
    watermark. (Beam looks at the row's own window only, and also drops rows that an open session would take; Flink
    judges the merged window, as here.)

    Args:
        rows: as `reorder` gives them.
        known: open sessions of their visitors (OPEN_SCHEMA).
        gap: ms.
        watermark: ms.

    Returns:
        Accepted rows, as `in_order` gives them; late rows.
    """
    if not rows["_behind"].any():
        return in_order(rows), rows.clear()
    who = rows.filter("_behind")["visitor"].unique()
    others, concerned = divided(rows, pl.col("visitor").is_in(who.implode()))
    accepted, late = _judged(concerned, known, gap, watermark)
    return in_order(pl.concat([others, accepted])), late


def _judged(rows: pl.DataFrame, known: pl.DataFrame, gap: int, watermark: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows of visitors of whom one came behind the watermark: accepted ones with their place, and late ones."""
    expired = pl.col("_behind") & (pl.col("_at") + gap <= watermark)
    spans = known.select("visitor", _from="start", _to="end")
    rows = rows.join(spans, on="visitor", how="left").with_columns(_expired=expired)
    apart = pl.col("_expired") & (pl.col("_at") <= pl.col("_from") - gap).fill_null(value=False)
    rows = rows.with_columns(_apart=apart, _at=pl.max_horizontal("_at", "_to"))
    rows = in_order(rows)
    before = pl.col("_at").shift(1)
    head = pl.col("visitor").ne_missing(pl.col("visitor").shift(1))
    breaks = head | (pl.col("_at") - before >= gap)
    closed = pl.col("_at").last().over(breaks.cum_sum()) + gap <= watermark
    late = pl.col("_apart") | (pl.col("_expired") & closed)
    private = ["_from", "_to", "_expired", "_apart", WHO]
    return rows.filter(~late).drop(private), rows.filter(late).drop(private)


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of each visitor together, in order: by `SORTED`, with `_who`.

    By hash of the visitor, since only equal ones need to stand together and text sorts slowly; columns that are
    the same in all rows (most often source and partition) are left out.
    """
    rows = rows.with_columns(_who().alias(WHO))
    same = {
        name
        for name in ("source", "source_partition")
        if rows.height and not rows[name].ne_missing(rows[name][0]).any()
    }
    if not rows["_behind"].any():
        same.add("event_time")  # which `_at` then is
    keys = [name for name in SORTED if name not in same]
    ordered = rows.sort(keys)
    mixed = (pl.col(WHO) == pl.col(WHO).shift(1)) & (pl.col("visitor") != pl.col("visitor").shift(1))
    return rows.sort(WHO, "visitor", *keys[1:]) if ordered.select(mixed.any()).item() else ordered


def _who() -> pl.Expr:
    hashed: pl.Expr = pl.col("visitor").nchash.xxh3_64(seed=0)  # type: ignore[attr-defined]
    return hashed


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
