"""The output rows: sessions, their events, page transitions, late rows."""

from typing import Final

import polars as pl
import polars_hash as _plh  # noqa: F401  # registers the `nchash` namespace of expressions

from ecompulse.kernels.event import MONEY, TIME
from ecompulse.kernels.hashing import row_id
from ecompulse.kernels.rows import millis
from ecompulse.kernels.segments import place
from ecompulse.kernels.sessions.schemas import (
    SESSION_EVENT_SCHEMA,
    SESSION_SCHEMA,
    STAGES,
    TRANSITION_PART_SCHEMA,
    late_schema,
)
from ecompulse.kernels.sessions.summary import VIEWS

GAP: Final = "gap"
MAX_LENGTH: Final = "max_length"
DRAIN: Final = "drain"


def session_id() -> pl.Expr:
    """Id of a session: of its visitor and the time (ms) of its first settled row."""
    return row_id("visitor", "opened")


def show_sessions(sessions: pl.DataFrame) -> pl.DataFrame:
    """OPEN_SCHEMA with `id`, `close_reason` and `final` in the shape of the output.

    `revenue_base` is null if lines were bought and none had a known price, or if the sum is too large.
    """
    unpriced = (pl.col("purchases") > 0) & (pl.col("priced") == 0)
    views = pl.col("page_views") + pl.col("product_views")
    stage = pl.col("rank").replace_strict(range(len(STAGES)), STAGES, default=None, return_dtype=pl.String)
    return sessions.with_columns(
        session_start=pl.col("start").cast(TIME),
        session_end=pl.col("end").cast(TIME),
        duration_ms=pl.col("end") - pl.col("start"),
        orders=pl.col("orders").list.len().fill_null(0).cast(pl.Int64),
        products=pl.col("products").list.len().fill_null(0).cast(pl.Int64),
        revenue_base=pl.when(~unpriced).then(pl.col("revenue").cast(MONEY, strict=False)),
        bounced=(pl.col("events") == 1) & (views == 1),
        converted=pl.col("purchases") > 0,
        furthest_stage=stage,
        revision=pl.col("revision") + 1,
    ).select(SESSION_SCHEMA.names())


def show_events(rows: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Each row's session and place in it, from 1.

    Args:
        rows: numbered rows.
        sessions: one row per `_session`, in order: `id`, and `_earlier`, how many rows it had before.
    """
    number = rows["_session"]
    begins = pl.col("_session").ne_missing(pl.col("_session").shift(1))
    return rows.select(
        row_id("event_id").alias("id"),
        "event_id",
        session=sessions["id"].gather(number),
        sequence=place(begins) + sessions["_earlier"].gather(number),
        event_time="event_time",
    ).select(SESSION_EVENT_SCHEMA.names())


def show_transitions(rows: pl.DataFrame, known: pl.DataFrame, window: int) -> pl.DataFrame:
    """Partial counts of transitions from page to page within sessions, for this step and shard.

    A step goes from one view with a known URL to the next one of the same session (types `VIEWS`; a reload
    counts as a step to itself), and belongs to the window of the later. A page is a URL's path.
    """
    views = rows.filter(pl.col("event_type").is_in(VIEWS), pl.col("url").is_not_null())
    views = views.select("_session", _with_path(views, "url"), _window=(pl.col("_at") // window * window).cast(TIME))
    continuing = rows.filter(pl.col("_head") & ~pl.col("_new")).select("visitor", "_session")
    pages = continuing.join(known.select("visitor", "page"), on="visitor").drop_nulls()
    views = views.join(pages.select("_session", _with_path(pages, "page")), on="_session", how="left")
    same = pl.col("_session") == pl.col("_session").shift(1)
    came = pl.when(same).then(pl.col("url").shift(1)).otherwise("page")
    steps = views.select(window_start="_window", from_page=came, to_page="url").drop_nulls()
    # Groups are found by whole numbers: faster than by text.
    codes = (_code("from_page", 0), _code("to_page", 1))
    steps = steps.group_by("window_start", *codes, maintain_order=True).agg(
        pl.col("from_page", "to_page").first(), pl.len().cast(pl.Int64).alias("count")
    )
    return steps.select(TRANSITION_PART_SCHEMA.names())


def _code(column: str, seed: int) -> pl.Expr:
    hashed: pl.Expr = pl.col(column).nchash.xxh3_64(seed=seed)  # type: ignore[attr-defined]
    return hashed.alias(f"_{column}")


def _with_path(frame: pl.DataFrame, column: str) -> pl.Series:
    """The column's URLs as paths: no scheme, host, query or fragment; `/` for an empty one."""
    path = pl.col(column).str.replace(r"[?#].*$", "").str.replace(r"^[^/]*//[^/]*", "")
    shown = pl.when(path == "").then(pl.lit("/")).otherwise(path)
    # A shop has fewer pages than views: each is taken apart once.
    paths = frame.select(pl.col(column).unique()).with_columns(_path=shown)
    return frame.select(column).join(paths, on=column, how="left", maintain_order="left")["_path"].alias(column)


def show_late(rows: pl.DataFrame, operator: str, gap: int, watermark: int, columns: pl.Schema) -> pl.DataFrame:
    """Late rows, with the ms since their own window closed (0: at that moment)."""
    late = watermark - (millis() + gap)
    return (
        rows.with_columns(id=row_id(pl.lit(operator), "event_id"), operator=pl.lit(operator), late_by_ms=late)
        .select(late_schema(columns).names())
        .sort("event_time", "source", "source_partition", "source_offset")
    )
