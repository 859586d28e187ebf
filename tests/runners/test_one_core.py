"""Epochs that follow a short one keep the process on one core; a long one, and everything after, has all."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import polars as pl
import pytest

from ecompulse.runners.engine import during_epochs, executor, new_pipeline
from ecompulse.runners.local import one_core
from ecompulse.runners.local.one_core import SHORT, OneCore

ALL = one_core._ALL

pytestmark = pytest.mark.skipif(len(ALL) < 2, reason="cores: there is one")


def mine(thread=0):
    return frozenset(os.sched_getaffinity(thread))


@pytest.fixture
def used():
    """CPU seconds that the process has used: what the test says."""
    return SimpleNamespace(seconds=0.0)


@pytest.fixture
def tasks():
    """Tells which cores the threads may use that this process has now, and that nobody has bound.

    A thread of another test may still be there, bound as that test left it: the system ends it some time after `join`.
    """
    pl.thread_pool_size()

    def cores_of(threads):
        cores = {}
        for thread in threads:
            with suppress(ProcessLookupError):  # it has ended by now
                cores[thread] = mine(thread)
        return cores

    free = [t for t, cores in cores_of(int(p.name) for p in Path("/proc/self/task").iterdir()).items() if cores == ALL]
    return lambda: set(cores_of(free).values())


@pytest.fixture
def engine(used):
    """After one short epoch."""
    engine = OneCore(lambda: used.seconds)
    with engine.epoch():
        assert mine() == ALL  # the first one
    return engine


def test_what_follows_a_short_epoch_is_on_one_core_with_all_its_threads(engine, tasks):
    for _ in range(2):
        with engine.epoch():
            assert tasks() == {mine()}
            assert len(mine()) == 1
        assert tasks() == {ALL}


def test_an_epoch_that_turns_out_to_be_long_gets_all_cores_and_so_does_the_next_one(engine, used, tasks):
    with engine.epoch():
        used.seconds += SHORT
        engine.check()
        assert len(mine()) == 1
        used.seconds += 0.1
        engine.check()
        assert tasks() == {ALL}
    with engine.epoch():
        assert mine() == ALL
    with engine.epoch():  # that one was short
        assert len(mine()) == 1


def test_an_error_leaves_all_cores(engine, tasks):
    with pytest.raises(ValueError, match="in the epoch"), engine.epoch():
        raise ValueError("in the epoch")
    assert tasks() == {ALL}


def test_a_thread_that_is_begun_meanwhile_has_all_cores_afterwards(engine):
    go, done = threading.Event(), []
    thread = threading.Thread(target=lambda: (go.wait(60), done.append(mine())))
    with engine.epoch():
        thread.start()
        assert len(mine(thread.native_id)) == 1
    go.set()
    thread.join(60)
    assert done == [ALL]


def test_a_thread_that_was_being_begun_when_the_core_was_left_is_found_by_the_next_epoch(engine, used):
    stopped, go = threading.Event(), threading.Event()

    def stay():
        os.sched_setaffinity(0, {core})
        stopped.set()
        go.wait(60)

    thread = threading.Thread(target=stay)
    with engine.epoch():
        [core] = mine()
        used.seconds += 2 * SHORT
    thread.start()  # as if it had inherited the core of the thread that began it
    assert stopped.wait(60)
    with engine.epoch():
        assert mine(thread.native_id) == ALL
    go.set()
    thread.join(60)


def test_a_thread_that_somebody_else_has_bound_stays_where_it_is(engine):
    bound, go = threading.Event(), threading.Event()
    own = frozenset({min(ALL)})

    def stay():
        os.sched_setaffinity(0, own)
        bound.set()
        go.wait(60)

    thread = threading.Thread(target=stay)
    thread.start()
    assert bound.wait(60)
    os.sched_setaffinity(0, own)  # so that the epoch's core is the same
    os.sched_setaffinity(0, ALL)
    with engine.epoch():
        assert mine(thread.native_id) == own
    assert mine(thread.native_id) == own
    go.set()
    thread.join(60)


def test_where_it_is_forbidden_nothing_happens(engine, tasks, monkeypatch):
    def forbidden(_thread, _cores):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    with engine.epoch():
        assert tasks() == {ALL}


def test_a_pipeline_of_this_process_is_run_on_one_core(tmp_path):
    class Tell(beam.DoFn):
        """Says how many cores it may use."""

        def process(self, element):
            with (tmp_path / "cores").open("a") as file:
                file.write(f"{len(mine())}\n")
            yield element

    pipeline = new_pipeline("LocalRunner", [])
    pipeline | beam.Create([1]) | beam.ParDo(Tell())
    run, during = executor(pipeline), during_epochs(pipeline)
    for _ in range(3):
        with during():
            run()
    assert (tmp_path / "cores").read_text().split() == [str(len(ALL)), "1", "1"]


def test_other_engines_are_left_alone():
    during = during_epochs(new_pipeline("DirectRunner", []))
    for _ in range(2):
        with during():
            assert mine() == ALL
