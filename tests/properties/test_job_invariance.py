"""Whole jobs: the same tables for any cut into epochs, number of shards, arrival of files, crash and restart."""

import itertools
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.steps import Step, observe
from support.jobs import JOBS, make_shop, run, start
from support.marks import nightly

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def answers(shop, tmp_path_factory) -> dict[str, dict[str, pl.DataFrame]]:
    return {job: run(job, shop, tmp_path_factory.mktemp(job)) for job in JOBS}


CUTS = (
    ("--max_records_per_epoch=1100", "--num_shards=1"),
    ("--num_shards=7", "--max_files_per_epoch=1"),
    ("--max_records_per_epoch=700",),
)
PUSH = [(job, CUTS[number % len(CUTS)]) for number, job in enumerate(JOBS)]
"""Each job once, each cut at least once."""


@pytest.mark.heavy("whole jobs, in up to ten epochs")
@pytest.mark.parametrize(("job", "flags"), nightly(itertools.product(JOBS, CUTS), PUSH))
def test_any_cut_and_any_shards_give_the_same_tables(job, flags, shop, answers, tmp_path):
    found = run(job, shop, tmp_path, *flags)
    for name, expected in answers[job].items():
        assert expected.height, name
        assert_frame_equal(found[name], expected)


@pytest.mark.heavy("a whole job, started again ten times")
@pytest.mark.parametrize("job", nightly(JOBS, ["realtime_metrics"]))
def test_failures_on_the_way_change_nothing(job, shop, answers, tmp_path):
    """The run fails at one step after the other, and is started again each time."""
    steps = [Step.READING, Step.WRITING, Step.BEFORE_SEAL, Step.SEALED, Step.LAKE_BEFORE_COMMIT, Step.LAKE_COMMITTED]
    steps += [Step.WAREHOUSE_BEFORE_COMMIT, Step.WAREHOUSE_COMMITTED]
    failing: list[Step] = [*steps, Step.PUBLISHED, Step.COMMITTED]

    class InjectedError(Exception):
        pass

    def fail(reached: Step) -> None:
        if failing and reached is failing[0]:
            failing.pop(0)
            raise InjectedError

    forget = observe(fail)
    try:
        while failing:
            left = len(failing)
            once = ("--epoch_attempts=1", "--publish_attempts=1")
            assert start(job, shop, tmp_path, "--max_records_per_epoch=900", *once) == 1
            assert len(failing) == left - 1
    finally:
        forget()
    found = run(job, shop, tmp_path, "--max_records_per_epoch=900")
    for name, expected in answers[job].items():
        assert_frame_equal(found[name], expected)


def test_the_answer_is_what_the_simulator_says(answers, shop):
    """Truth in plain numbers, from the generator's own count."""
    truth = json.loads((shop / "shop" / "truth.json").read_text())
    events = answers["event_enrichment"]["enriched_events"]
    assert events.height == truth["events"]
    assert answers["event_enrichment"]["dead_letters"].height == sum(truth["broken"].values())
    by_type = dict(events.group_by("event_type").len().rows())
    assert by_type == truth["by_type"]
