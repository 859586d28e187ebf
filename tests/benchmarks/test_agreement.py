import polars as pl

from benchmarks.peers.agreement import compare_enrichment, compare_sessions, compare_windows

NAMES = {"visitor": pl.String, "session_start": pl.Int64, "session_end": pl.Int64, "events": pl.Int64}


def sessions(*rows: tuple[str, int, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=NAMES, orient="row")


def test_sessions_that_differ_have_a_reason():
    ours = sessions(("a", 0, 5, 2), ("u", 0, 9, 3), ("b", 7, 99, 4), ("c", 1, 2, 2))
    theirs = sessions(("a", 0, 5, 2), ("u", 0, 4, 1), ("d", 5, 9, 2), ("c", 1, 2, 1))
    found = compare_sessions(ours, theirs, pl.Series(["u", "d"]), bound=50)
    assert found == {
        "ours": 4, "theirs": 4, "equal": 1, "of two ids": 3, "open at the end": 1, "other": 2,
    }  # fmt: skip


def test_enrichment_is_compared_over_common_events():
    frame = pl.LazyFrame({"event_id": ["a", "b"], "price_base": [1.0, 2.0], "user_segment": ["x", None]})
    more = pl.concat([frame, frame.with_columns(event_id=pl.format("c{}", "event_id"), price_base=1e20)])
    found = compare_enrichment(frame, more)
    assert (found["rows of ours"], found["rows of theirs"]) == (2, 4)
    assert found["of common events"]["ours"] == found["of common events"]["theirs"]
    assert found["of common events"]["ours"]["price_base"] == 3.0


def test_windows_are_equal_to_a_cent():
    ours = pl.DataFrame({"window": "1m", "window_start": [0, 60, 120], "page_views": [3.0, 4.0, 5.0], "revenue": 1.0})
    theirs = ours.with_columns(revenue=pl.Series([1.004, 1.0, 2.0]), page_views=pl.Series([3.0, 5.0, 5.0]))
    found = compare_windows(ours, theirs)
    assert (found["equal"], found["page views differ by at most one"], found["page views"]) == (1, 3, [12, 13])
