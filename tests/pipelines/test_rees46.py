"""Real events: every row of the file comes out, as an event or as a dead letter."""

import polars as pl
import pytest

from pipelines import session_analytics
from support.place import Place
from support.process import REES46

pytestmark = pytest.mark.skipif(not REES46.exists(), reason=f"{REES46} is not there")

ROWS = 10_503
COPIES = 4


def test_enriched_and_dead_letters_are_the_rows_that_were_read(tmp_path):
    place = Place(tmp_path, REES46, ("--mapping=rees46", "--drain"))
    assert place.run() == 0
    enriched, dead = place.raw("enriched_events"), place.raw("dead_letters")
    assert enriched.height + dead.height == ROWS
    assert enriched["event_id"].n_unique() == enriched.height - COPIES


def test_copies_are_removed_and_counted(tmp_path):
    place = Place(tmp_path, REES46, ("--mapping=rees46", "--drain", "--dedup"))
    assert place.run() == 0
    enriched = place.raw("enriched_events")
    assert enriched.height + place.raw("dead_letters").height == ROWS - COPIES
    assert enriched["event_id"].is_unique().all()
    quality = place.tables()["data_quality"]
    assert quality.filter(pl.col("check_name") == "duplicate")["count"].sum() == COPIES


@pytest.mark.slow
def test_every_event_is_in_a_session(tmp_path):
    place = Place(tmp_path, REES46, ("--mapping=rees46", "--drain"), session_analytics)
    assert place.run() == 0
    events, sessions = place.raw("session_events"), place.raw("sessions")
    assert events.height + place.raw("dead_letters").height + place.raw("late_events").height == ROWS
    assert sessions["events"].sum() == events.height
    assert (events.height, place.raw("late_events").height) == (ROWS, 0)
