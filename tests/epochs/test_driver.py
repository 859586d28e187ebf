"""The driver, in process: results do not depend on cuts, crashes and restarts."""

import itertools
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.errors import Superseded, UserError
from ecompulse.epochs.state_cache import StateCache
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.stores import LocalStore
from support.marks import nightly
from support.script import Script, comparable
from support.toy import BASE, ToyJob, rows

IN_PROCESS_STEPS = [step for step in Step if not step.value.startswith(("warehouse.", "kafka.", "alerts."))]


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    script = Script(ToyJob(), tmp_path_factory.mktemp("answer"), max_rows=1000)
    script.add_data(rows(60)).add_data(rows(30, seed=2)).run()
    return {name: script.table(name) for name in ("rows", "totals")}


def check(script: Script, answer: dict[str, pl.DataFrame]) -> None:
    for name, expected in answer.items():
        assert_frame_equal(script.table(name), expected)
        assert script.lines(name).height == expected.height


def test_one_epoch_reads_everything(answer):
    assert answer["rows"].height == 90
    assert answer["totals"]["rows"].sum() == 90


@pytest.mark.slow
def test_any_cut_gives_the_same_tables(tmp_path, answer):
    script = Script(ToyJob(), tmp_path, max_rows=7, shards=3)
    script.add_data(rows(60)).add_data(rows(30, seed=2)).run()
    check(script, answer)
    assert len(script.progress) > 12


@pytest.mark.slow
@pytest.mark.parametrize("step", IN_PROCESS_STEPS)
def test_crash_at_every_step_changes_nothing(tmp_path, answer, step):
    script = Script(ToyJob(), tmp_path, max_rows=11, backup=LocalStore(str(tmp_path / "backup")))
    script.add_data(rows(60)).add_data(rows(30, seed=2))
    assert script.crash_at(step, occurrence=1), f"{step} was never reached"
    script.crash_at(step, occurrence=2)
    script.run()
    check(script, answer)


def test_second_run_has_nothing_to_do_and_new_data_goes_on(tmp_path):
    script = Script(ToyJob(), tmp_path).add_data(rows(20))
    script.run()
    before = script.table("totals")
    assert script.driver().start() == 0
    script.add_data([{"id": "z", "key": "z", "value": 5, "event_time": BASE + 10_000_000}]).run()
    assert script.table("totals").height == before.height + 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [Step.PLANNED, Step.BEFORE_SEAL, Step.SEALED, Step.PUBLISHED, Step.COMMITTED])
def test_a_driver_that_sleeps_while_its_successor_runs_stops_and_changes_nothing(tmp_path, answer, step):
    script = Script(ToyJob(), tmp_path, max_rows=11)
    script.add_data(rows(60)).add_data(rows(30, seed=2))
    old = script.driver()
    slept = []

    def sleep(reached: Step) -> None:
        if reached is step and not slept:
            slept.append(step)
            script.run()

    forget = observe(sleep)
    with pytest.raises(Superseded, match="a newer driver"):
        old.start()
    forget()
    assert slept
    check(script, answer)


def test_a_remade_checkpoint_is_not_taken_for_already_written(tmp_path):
    script = Script(ToyJob(), tmp_path).add_data(rows(10)).run()
    shutil.rmtree(tmp_path / "checkpoint")
    with pytest.raises(UserError, match="holds rows of toy from another checkpoint"):
        script.run()
    assert script.table("rows").height == 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "occurrence"),
    nightly(
        itertools.product(IN_PROCESS_STEPS, (1, 2)),
        [(Step.SEALED, 1), (Step.LAKE_BEFORE_COMMIT, 1), (Step.LAKE_BEFORE_COMMIT, 2), (Step.LAKE_COMMITTED, 2)],
    ),
)
def test_replaced_rows_are_the_old_or_the_new_ones(tmp_path, step, occurrence):
    """Killed at a step while it starts anew on tables that hold rows of another checkpoint."""
    Script(ToyJob(), tmp_path / "old", lake=tmp_path / "lake").add_data(rows(10)).run()
    new = Script(ToyJob(), tmp_path / "new", lake=tmp_path / "lake", max_rows=15, replace=True)
    new.add_data(rows(30, seed=2))
    if not new.crash_at(step, occurrence):
        pytest.skip("this step is not reached so often")
    assert len({text.partition("-")[0] for text in new.table("rows")["id"]}) == 1, "of one seed: never both"
    new.run()
    reference = Script(ToyJob(), tmp_path / "reference", max_rows=15).add_data(rows(30, seed=2)).run()
    for table in ("rows", "totals"):
        assert_frame_equal(new.table(table), reference.table(table))


@pytest.mark.slow
def test_two_instances_on_one_lake_are_two_runs(tmp_path):
    names, lake = ("north", "south"), tmp_path / "lake"
    for name in names:  # of the same shop, so of equal ids
        for where in (lake, tmp_path / name / "lake"):
            one = Script(ToyJob(), tmp_path / name / where.parent.name, lake=where, max_rows=15, instance=name)
            one.add_data(rows(30, seed=1)).run()
    for table in ("rows", "totals"):
        alone = [Script(ToyJob(), tmp_path, lake=tmp_path / name / "lake").table(table) for name in names]
        assert_frame_equal(Script(ToyJob(), tmp_path, lake=lake).table(table), comparable(pl.concat(alone)))
        assert pl.concat(alone)["id"].is_unique().all()


def test_progress_has_the_shape_of_sparks(tmp_path):
    script = Script(ToyJob(), tmp_path, max_rows=10).add_data(rows(20)).run()
    first = script.progress[0]
    assert first["batchId"] == 1
    assert first["numInputRows"] == 10
    assert {"plan", "run", "seal", "publish", "total"} <= set(first["durationMs"])
    assert first["stateOperators"][0]["operatorName"] == "count"
    assert first["sink"]["tables"]["rows"] == 10
    assert script.progress[1]["eventTime"]["watermark"] is not None


def test_progress_tells_what_state_a_new_worker_has_to_load(tmp_path, monkeypatch):
    def loaded() -> list[int]:
        return [epoch["stateOperators"][0]["loadedBytes"] for epoch in script.progress]

    script = Script(ToyJob(), tmp_path, max_rows=10).add_data(rows(20)).run()
    assert not any(loaded())
    epochs = len(script.progress)
    monkeypatch.setattr("ecompulse.epochs.state._cache", StateCache())  # as in another process
    script.add_data(rows(40)[20:]).run()
    assert loaded()[epochs] > 0
    assert not any(loaded()[epochs + 1 :])
