"""The checkpoint is destroyed wherever a driver died, restored from its backup, and the job goes on."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.backup import Backup, identity_of, require_restored, restore
from ecompulse.epochs.checkpoint import last_commit, newest_fencing_token, open_checkpoint
from ecompulse.epochs.errors import JobError, StateDamaged, Superseded, UserError
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.steps import Step
from ecompulse.io.stores import LocalStore
from support.script import Script
from support.toy import ToyJob, rows

pytestmark = pytest.mark.slow

STEPS = [step for step in Step if not step.value.startswith(("warehouse.", "kafka.", "alerts."))]


def backed_up(root: Path) -> Script:
    script = Script(ToyJob(), root, max_rows=11, keep_epochs=1, backup=LocalStore(str(root / "backup")))
    return script.add_data(rows(60)).add_data(rows(30, seed=2))


def destroy_and_restore(script: Script) -> None:
    shutil.rmtree(script.root / "checkpoint")
    restore(script.backup, LocalStore(str(script.root / "checkpoint")))


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    script = backed_up(tmp_path_factory.mktemp("answer")).run()
    return {name: (script.table(name), script.lines(name)) for name in ("rows", "totals")}


@pytest.mark.parametrize("step", STEPS)
def test_destroyed_at_every_step_and_restored(tmp_path, answer, step):
    script = backed_up(tmp_path)
    for occurrence in (1, 3):
        assert script.crash_at(step, occurrence), f"{step} was never reached"
        identity = identity_of(script.backup)
        destroy_and_restore(script)
        assert identity_of(LocalStore(str(tmp_path / "checkpoint"))) == identity
    script.run()
    for name, (table, lines) in answer.items():
        assert_frame_equal(script.table(name), table)
        assert_frame_equal(script.lines(name), lines)


def test_only_new_files_are_copied_and_what_goes_there_goes_here(tmp_path):
    script = backed_up(tmp_path)
    copied: list[str] = []
    script.backup = Recording(script.backup, copied)
    script.run()
    state = [name for name in copied if name.startswith("state/")]
    assert len(state) == len(set(state)) > 10
    for folder in ("seals", "commits"):
        assert script.backup.list(folder) == LocalStore(str(tmp_path / "checkpoint")).list(folder)
    assert set(script.backup.list("state")) < set(state), "what no kept epoch refers to was collected"


class Recording:
    """A store that tells what was created in it."""

    def __init__(self, store: Store, created: list[str]) -> None:
        self.store, self.created, self.root = store, created, store.root

    def create(self, name: str, data: bytes) -> bool:
        self.created.append(name)
        return self.store.create(name, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def test_a_backup_that_begins_later_catches_up(tmp_path, answer):
    script = backed_up(tmp_path)
    script.backup = None
    script.crash_at(Step.PUBLISHED, 3)
    script.backup = LocalStore(str(tmp_path / "backup"))
    script.crash_at(Step.SEALED, 1)
    destroy_and_restore(script)
    script.run()
    assert_frame_equal(script.table("rows"), answer["rows"][0])


class Unreachable:
    """A store that stops answering for a while."""

    root = "far"

    def __init__(self, store: Store, failures: int) -> None:
        self.store, self.failures = store, failures

    def create(self, name: str, data: bytes) -> bool:
        if name.startswith("seals/00000002") and self.failures:
            self.failures -= 1
            raise OSError("no route to host")
        return self.store.create(name, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def test_a_backup_that_answers_again_in_time_stops_nothing(tmp_path, answer):
    script = backed_up(tmp_path)
    script.backup = Unreachable(script.backup, failures=3)
    script.run()
    assert_frame_equal(script.table("rows"), answer["rows"][0])
    assert [progress["retries"]["backup"] for progress in script.progress[:3]] == [0, 3, 0]


def test_a_backup_that_does_not_answer_stops_the_job_before_anything_is_published(tmp_path, answer):
    script = backed_up(tmp_path)
    kept, script.backup = script.backup, Unreachable(script.backup, failures=1000)
    with pytest.raises(JobError, match="--checkpoint_backup: far: epoch 2 is sealed, and was offered 10 times: OSErr"):
        script.run()
    assert script.table("rows").height == 11, "nothing of the second epoch"
    script.backup = kept
    script.run()
    assert_frame_equal(script.table("rows"), answer["rows"][0])


def test_a_driver_cut_off_from_a_checkpoint_that_was_restored_elsewhere_publishes_nothing(tmp_path, answer):
    script = backed_up(tmp_path)
    script.crash_at(Step.PUBLISHED, 2)
    zombie = script.driver()
    zombie.backup.open()
    (tmp_path / "checkpoint").rename(tmp_path / "cut-off")
    zombie.checkpoint.store = LocalStore(str(tmp_path / "cut-off"))
    restore(script.backup, LocalStore(str(tmp_path / "checkpoint")))
    script.run()
    with pytest.raises(Superseded, match="a newer driver"):
        zombie.start()
    assert_frame_equal(script.table("rows"), answer["rows"][0])
    assert newest_fencing_token(script.backup) > zombie.checkpoint.fencing_token


def test_a_new_checkpoint_beside_the_backup_of_a_lost_one_is_refused(tmp_path):
    script = backed_up(tmp_path).run()
    require_restored(LocalStore(str(tmp_path / "checkpoint")), script.backup)
    with pytest.raises(UserError, match=r"bring it back with `python -m pipelines\.checkpoint restore"):
        require_restored(LocalStore(str(tmp_path / "new")), script.backup)
    other = open_checkpoint(LocalStore(str(tmp_path / "new")), {})
    with pytest.raises(UserError, match="holds the backup of another checkpoint"):
        Backup(other, script.backup, outputs=False).open()


def test_what_is_not_whole_or_not_empty_is_not_restored(tmp_path):
    script = backed_up(tmp_path).run()
    with pytest.raises(UserError, match="is not empty"):
        restore(script.backup, LocalStore(str(tmp_path / "checkpoint")))
    with pytest.raises(UserError, match="holds no checkpoint"):
        restore(LocalStore(str(tmp_path / "nothing")), LocalStore(str(tmp_path / "x")))
    last = last_commit(script.backup)
    damaged = script.backup.list("state")[-1]
    script.backup.put(damaged, b"rubbish")
    with pytest.raises(StateDamaged, match="is damaged"):
        restore(script.backup, LocalStore(str(tmp_path / "y")))
    assert identity_of(LocalStore(str(tmp_path / "y"))) is None, "what was not finished is none"
    script.backup.delete([f"seals/{last:08d}.json"])
    with pytest.raises(StateDamaged, match="is missing"):
        restore(script.backup, LocalStore(str(tmp_path / "z")))


def test_a_backup_of_no_epoch_is_restored_to_the_beginning(tmp_path, answer):
    script = backed_up(tmp_path)
    assert script.crash_at(Step.PLANNED, 1)
    destroy_and_restore(script)
    script.run()
    assert_frame_equal(script.table("rows"), answer["rows"][0])
