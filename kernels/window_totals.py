"""Partial counts of steps and shards become one count per window: added up until the window is over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ecompulse.kernels.event import TIME
from ecompulse.kernels.hashing import escaped, row_id
from ecompulse.kernels.rows import DAY_MS, check_duration
from ecompulse.kernels.step import END_OF_TIME, Change, Clock, StateView, Step, Table

COUNTS: Final = "counts"
KEPT_MS: Final = 7 * DAY_MS
"""How long after its end a window that only a drain has closed is kept, for rows that come after all."""

_SEPARATOR: Final = "\x1f"
_NONE: Final = "\x1e"  # stands for a key that is null
_BOOKS: Final = pl.Schema({"revision": pl.Int64(), "fresh": pl.Boolean(), "closes": pl.Int64(), "expires": pl.Int64()})


def counts_table(parts: pl.Schema) -> Table:
    """State of `add_up`: parts by key, until their window is over."""
    schema = pl.Schema({"key": pl.String(), **parts, **_BOOKS})
    return Table(name=COUNTS, schema=schema, key="key", due="closes", expires="expires", keep_key=False)


def key_of(parts: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Text of some columns, unique for their values."""
    texts = [pl.col(name).cast(pl.Int64) if parts.schema[name] == TIME else pl.col(name) for name in columns]
    return parts.select(key=pl.concat_str(texts, separator=_SEPARATOR, ignore_nulls=False)).to_series()


def add_up(
    state: StateView,
    parts: pl.DataFrame,
    key: Callable[[pl.DataFrame], pl.Series],
    sums: Sequence[str],
    clock: Clock,
    open_for: int,
    *,
    named: Sequence[str],
    joined: Sequence[str] = (),
    revise: bool = False,
) -> tuple[pl.DataFrame, Change]:
    """Add parts to what is known of their keys; give out the keys whose window is over.

    A window is over once `window_start` + `open_for` <= watermark. Its counts are final, and its state is
    dropped, in that step: a kernel upstream, stepped with the same watermark, has given all its parts by then.
    A window that a drain has closed before its time is kept for a week of event time, and given out once more,
    whole, if rows come for it after all; with `revise` every window is. `key` makes the key of rows of their columns
    `named`. Lists of the columns `joined` are put one behind the other. A key's rows are told apart by all other
    columns.

    Returns:
        Rows of the windows that are over (the parts' columns and `revision`, from 1), and the change.
    """
    groups = [name for name in parts.columns if name not in {*sums, *named, *joined}]
    opened = parts.with_columns(key=key(parts), revision=pl.lit(0, pl.Int64), fresh=pl.lit(value=True))
    keys = pl.concat([opened["key"], key(state.due(COUNTS, clock.watermark))]).unique()
    held = state.lookup(COUNTS, keys)
    known = pl.concat([held.drop("closes", "expires"), opened.select(held.drop("closes", "expires").columns)])
    rows = known.group_by("key", *groups).agg(
        pl.col(*named).first(),
        pl.col(*sums).sum(),
        pl.col("revision").max(),
        pl.col("fresh").any(),
        *[pl.col(name).explode(keep_nulls=False) for name in joined],
    )
    closes = pl.col("window_start").dt.epoch("ms") + open_for
    rows = rows.with_columns(closes=closes, expires=closes + KEPT_MS)
    if groups:
        rows = rows.with_columns(pl.col("revision").max().over("key"), pl.col("fresh").any().over("key"))
    closed = pl.col("closes") <= clock.watermark
    shown = rows.filter(closed, "fresh").with_columns(pl.col("revision") + 1)
    kept = rows.filter(~closed)
    if revise or clock.watermark >= END_OF_TIME:
        told = rows.filter(closed).with_columns(
            pl.col("revision") + pl.col("fresh").cast(pl.Int64),
            fresh=pl.lit(value=False),
            closes=pl.lit(None, pl.Int64),
        )
        kept = pl.concat([kept, told])
    return shown.select(*parts.columns, "revision"), Change(keys, kept.select(held.columns))


@dataclass(frozen=True)
class TotalRows:
    """Sums of partial counts per tumbling window and key columns.

    A window is over, and its row comes out, once the watermark has passed its end + `lag`: the time by which rows may
    be later than the watermark says, such as the gap of the sessions that they are made of.

    Keying: window and key columns. State: one row per key of open windows, and with `revise` of the last week.

    Attributes:
        name: of the operator and its output.
        keys: columns (text, may be null) that tell rows apart.
        sums: columns (integers) that are added up.
        window: ms.
        lag: ms.
        revise: give a window out again, whole, with a higher revision, when rows come for it within a week.

    Output: `name`, with `id`, `window_start`, `window_end`, the keys, the sums and `revision`, from 1.
    """

    name: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    window: int = 3_600_000
    lag: int = 0
    revise: bool = False
    version: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        check_duration(self.name, "lag", self.lag)
        if self.window < 1:
            raise ValueError(f"{self.name}: window must be 1 ms or more, not {self.window}")

    @property
    def inputs(self) -> pl.Schema:
        """Partial counts."""
        keys, sums = dict.fromkeys(self.keys, pl.String()), dict.fromkeys(self.sums, pl.Int64())
        return pl.Schema({"window_start": TIME, **keys, **sums})

    @property
    def tables(self) -> Sequence[Table]:
        """`counts`."""
        return (counts_table(self.inputs),)

    @property
    def outputs(self) -> Mapping[str, pl.Schema]:
        """One row per window and key."""
        start, *rest = self.inputs.items()
        columns = [("id", pl.String()), start, ("window_end", TIME), *rest, ("revision", pl.Int64())]
        return {self.name: pl.Schema(columns)}

    def key(self, batch: pl.DataFrame) -> pl.Series:
        """Window and keys."""
        named = batch.with_columns(escaped(pl.col(name)).fill_null(_NONE) for name in self.keys)
        return key_of(named, ("window_start", *self.keys))

    def step(self, state: StateView, batch: pl.DataFrame, clock: Clock) -> Step:
        """Add up, and show the windows that are over."""
        parts = batch.select(self.inputs.names())
        done, change = add_up(
            state,
            parts,
            self.key,
            self.sums,
            clock,
            self.window + self.lag,
            named=("window_start", *self.keys),
            revise=self.revise,
        )
        shown = done.with_columns(
            id=row_id(pl.col("window_start").cast(pl.Int64), *(escaped(pl.col(name)) for name in self.keys)),
            window_end=pl.col("window_start") + pl.duration(milliseconds=self.window),
        )
        columns = self.outputs[self.name].names()
        return Step({self.name: shown.select(columns).sort("window_start", *self.keys)}, {COUNTS: change})
