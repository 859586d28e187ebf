"""A job is stated once: what it writes, its operators and their lags follow from how it is composed."""

import apache_beam as beam
import polars as pl
import pytest

import ecompulse as eco
from ecompulse.cli.assemble import compose
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.scope import Workspace
from ecompulse.intake import Intake
from ecompulse.io.files import FileSource
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.sessions.kernel import Sessionize
from ecompulse.kernels.window_totals import TotalRows


def composed(build):
    nowhere = LocalStore("/nowhere")
    space = Workspace(FencedStore(nowhere), nowhere, "job", 2)
    return compose(beam.Pipeline(), space, [FileSource("/nowhere", 0)], Intake(), build)


def sessions_of(scope):
    found = scope.visitors() | eco.SessionizeEvents()
    scope.drop(found["session_events"], found["transition_parts"])
    return found["sessions"]


def table() -> eco.TableSpec:
    return eco.TableSpec("sessions", Sessionize().outputs["sessions"], "session_start")


def test_operators_and_lags_follow():
    graph = composed(lambda scope: scope.write(table(), sessions_of(scope)))
    assert {operator.name: operator.lag for operator in graph.operators} == {
        "identity": 0,
        "sessions": 1,  # identity holds rows until the watermark has passed them
        "data_quality": 1,  # late rows are counted there
    }


def settled_sessions(scope):
    found = scope.visitors(Sessionize().inputs) | eco.SessionizeEvents()
    scope.drop(found["session_events"], found["transition_parts"])
    return found["sessions"]


def test_sessions_of_rows_that_have_waited_do_not_lag():
    graph = composed(lambda scope: scope.write(table(), settled_sessions(scope)))
    assert {operator.lag for operator in graph.operators} == {0}


def test_rows_that_have_waited_are_refused_to_who_would_take_them_for_late():
    def build(scope):
        visitors = scope.visitors(pl.Schema({**Sessionize().inputs, **FRAME_SCHEMA}))
        scope.drop(*(visitors | eco.AggregateMetrics()).values())

    with pytest.raises(ValueError, match="its rows have waited for the watermark, and it does not read came_late"):
        composed(build)


def test_tables_follow_and_late_rows_need_no_word():
    graph = composed(lambda scope: scope.write(table(), sessions_of(scope)))
    assert {spec.name for spec in graph.tables} == {"sessions", "late_events", "dead_letters", "data_quality"}


def test_what_nobody_reads_is_refused_by_name():
    def build(scope):
        found = scope.visitors() | eco.SessionizeEvents()
        scope.write(table(), found["sessions"])

    with pytest.raises(ValueError, match=r"SessionizeEvents.*session_events.*transition_parts.*nobody reads it"):
        composed(build)


def test_a_table_that_is_left_out_is_refused():
    with pytest.raises(ValueError, match="sessions: is made and nobody reads it"):
        composed(sessions_of)


def test_two_operators_of_one_name_are_refused():
    def build(scope):
        visitors = scope.visitors()
        for number in range(2):
            _ = visitors | f"Sessions {number}" >> eco.SessionizeEvents()

    with pytest.raises(ValueError, match="sessions: is there twice"):
        composed(build)


def test_to_count_after_the_sum_is_refused():
    def build(scope):
        events = scope.people()
        _ = scope.quality
        scope.count(events)

    with pytest.raises(ValueError, match="data quality is summed already"):
        composed(build)


def test_more_holding_operators_in_a_row_than_an_epoch_remembers_are_refused():
    class Holds(TotalRows):
        holds = 0

    def build(scope):
        rows = scope.people()
        for number in range(5):
            kernel = Holds(f"pages{number}", (), ("rows",))
            parts = rows | f"Parts {number}" >> eco.map_frames(pl.DataFrame.clear)
            rows = (parts | eco.Keyed(kernel))[kernel.name]
        scope.drop(rows)

    with pytest.raises(ValueError, match=r"pages4: 4 operators that hold rows stand before it; 3 can"):
        composed(build)
