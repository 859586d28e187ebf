"""Events of bots: left out, hidden or kept, and always told, purchases apart."""

import polars as pl
import pytest

from ecompulse.kernels.bots import ACCOUNTS, divide_bots

EVENTS = pl.DataFrame(
    {
        "event_type": ["purchase", "page_view", "purchase", None, "purchase"],
        "device_class": ["bot", "bot", "mobile", "bot", None],
        "n": range(5),
    }
)


@pytest.mark.parametrize(
    ("bots", "kept", "out", "bought"),
    [("exclude", [2, 4], [1, 3], [0]), ("include", [0, 1, 2, 3, 4], [], []), ("segment", [0, 1, 2, 3, 4], [], [])],
)
def test_every_event_ends_in_one_place(bots, kept, out, bought):
    found = divide_bots(EVENTS, bots)
    assert [found[name]["n"].to_list() for name in ("kept", *ACCOUNTS)] == [kept, out, bought]
