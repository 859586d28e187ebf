"""Killed with SIGKILL at every step boundary and started again: the tables of a run that nobody disturbed."""

import shutil
import signal
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.steps import Step, observe
from support.marks import nightly
from support.process import REES46, Shop, command, events, write_lines

pytestmark = pytest.mark.slow

UNREACHABLE = {
    **{step: "no topic is written" for step in Step if step.value.startswith("kafka.")},
    **{step: "nobody is told; see tests/io/alerts" for step in Step if step.value.startswith("alerts.")},
}
PROTOCOL = ("before_seal", "sealed", "backed_up", "lake.", "warehouse.", "published", "committed")
CRASH_POINTS = [step for step in Step if step not in UNREACHABLE]  # a new step comes in by itself

FLAGS = (
    "--drain",
    "--max_records_per_epoch=1000",
    "--keep_epochs=1",
    "--watermark_delay=30s",
    "--quality_window=10m",
    "--num_shards=2",
    "--progress=none",
)


def check(shop: Shop, answer: dict[str, pl.DataFrame]) -> None:
    found = shop.tables()
    assert found.keys() == answer.keys()
    for name, expected in answer.items():
        assert_frame_equal(found[name], expected)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("input") / "events.jsonl", events(3000))


@pytest.fixture(scope="module")
def answer(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    shop = Shop(tmp_path_factory.mktemp("answer"), source, FLAGS)
    assert shop.run_here() == (0, "")
    return shop.tables()


def test_undisturbed_every_row_is_in_every_sink(answer):
    assert answer["lake dead_letters"].height == 120
    assert answer["lake enriched_events"].height == 2880
    assert answer["lake data_quality"].height == answer["warehouse data_quality"].height > 20
    for table in ("enriched_events", "dead_letters", "data_quality"):
        assert answer[f"lines {table}"].height == answer[f"lake {table}"].height


@pytest.mark.parametrize("step", CRASH_POINTS)
def test_killed_in_the_second_epoch_and_restarted(tmp_path, source, answer, step):
    shop = Shop(tmp_path, source, FLAGS, backup=True)
    status, said = shop.run(crash_at=f"{step}:2")
    assert status == -signal.SIGKILL, f"{step} was never reached: {said}"
    assert shop.run_here() == (0, "")
    check(shop, answer)


@pytest.mark.parametrize(
    "step", nightly((step for step in CRASH_POINTS if step.value.startswith(PROTOCOL)), [Step.SEALED, Step.BACKED_UP])
)
def test_killed_and_the_checkpoint_lost_and_restored(tmp_path, source, answer, step):
    shop = Shop(tmp_path, source, FLAGS, backup=True)
    status, said = shop.run(crash_at=f"{step}:2")
    assert status == -signal.SIGKILL, f"{step} was never reached: {said}"
    shutil.rmtree(tmp_path / "checkpoint")
    restored = f"--to={tmp_path / 'checkpoint'}"
    assert command("pipelines.checkpoint", "restore", str(tmp_path / "backup"), restored)[::2] == (0, "")
    assert shop.run_here() == (0, "")
    check(shop, answer)


def test_steps_said_to_be_unreachable_are_and_no_others(tmp_path, source):
    """One run shows them all: also that every other step is passed, so that a kill there says something."""
    reached: set[Step] = set()
    forget = observe(reached.add)
    try:
        assert Shop(tmp_path, source, FLAGS, backup=True).run_here() == (0, "")
    finally:
        forget()
    assert set(Step) - reached == set(UNREACHABLE), UNREACHABLE


@pytest.mark.night
def test_rees46_killed_at_one_step_after_the_other(tmp_path):
    if not REES46.exists():
        pytest.skip(f"{REES46} is not there")
    flags = (*FLAGS, "--mapping=rees46")
    calm, killed = Shop(tmp_path / "calm", REES46, flags), Shop(tmp_path / "killed", REES46, flags, backup=True)
    assert calm.run_here() == (0, "")
    for step in CRASH_POINTS:
        status, said = killed.run(crash_at=step)
        assert status == -signal.SIGKILL, f"{step} was never reached: {said}"
    assert killed.run_here() == (0, "")
    answer = calm.tables()
    dead = answer.get("lake dead_letters", pl.DataFrame())
    assert answer["lake enriched_events"].height + dead.height == 10_503
    check(killed, answer)
