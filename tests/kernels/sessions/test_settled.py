"""Rows wait for the watermark once: it makes no difference whether identity holds them, or sessions."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ecompulse.kernels.abandonment import WatchCarts
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.funnels.track import TrackFunnels
from ecompulse.kernels.identity import NEEDED, ResolveIdentity
from ecompulse.kernels.rows import conform
from ecompulse.kernels.sessions.kernel import Sessionize, prepare
from ecompulse.kernels.step import END_OF_TIME
from support.examples import examples
from support.harness import watermarks
from support.journeys import MINUTE, run, stream
from support.stepping import OneShard
from support.streams import cuts

KERNEL = Sessionize(gap=10 * MINUTE, longest=70 * MINUTE, parts=(TrackFunnels(), WatchCarts()))


def settled(frame: pl.DataFrame, at_rows: list[int], delay: int) -> dict[str, pl.DataFrame]:
    """Outputs of sessions whose rows have waited in identity, both stepped with one clock."""
    carried = pl.Schema({**{name: FRAME_SCHEMA[name] for name in NEEDED}, **KERNEL.carried})
    identity = OneShard(ResolveIdentity(pl.Schema({n: d for n, d in carried.items() if n != "visitor"}), settles=True))
    sessions = OneShard(KERNEL)
    outputs: dict[str, list[pl.DataFrame]] = {name: [pl.DataFrame(schema=s)] for name, s in KERNEL.outputs.items()}
    epochs = watermarks(frame, [*at_rows, frame.height], delay)
    for rows, watermark in [*epochs, (frame.clear(), END_OF_TIME)]:
        identified = identity.step(conform(rows, identity.kernel.inputs), watermark)["identified"]
        for name, rows_out in sessions.step(prepare(identified, KERNEL), watermark).items():
            outputs[name].append(rows_out)
        assert sessions.rows("pending").is_empty()
    return {name: pl.concat(frames) for name, frames in outputs.items()}


@examples(25)
@given(st.data(), stream(max_size=40), st.sampled_from([0, MINUTE, 60 * MINUTE]))
def test_sessions_of_settled_rows_are_the_same_late_ones_too(data, frame, delay):
    frame = frame.with_columns(anonymous_id="visitor", user_id=pl.lit(None, pl.String))
    at_rows = data.draw(cuts(frame.height))
    outputs, expected = settled(frame, at_rows, delay), run(KERNEL, frame, cuts=at_rows, delay=delay)
    for name, rows in expected.items():
        assert_frame_equal(outputs[name], rows, check_row_order=False)
