"""A driver asleep at any step while its successor runs to the end: nothing doubled, nothing lost, one clear error."""

import random

import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.errors import Superseded
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.stores import LocalStore
from support.script import Script
from support.toy import ToyJob

TABLES = ("rows", "totals")
UNREACHED = {
    Step.WAREHOUSE_BEFORE_COMMIT: "the script has no warehouse; a transaction that sleeps holds its lock",
    Step.WAREHOUSE_COMMITTED: "the script has no warehouse",
    **{step: "the script writes no topic" for step in Step if step.value.startswith("kafka.")},
}


def rows(count):
    rng = random.Random(5)
    return [
        {"id": f"r{n}", "key": f"k{rng.randrange(4)}", "value": n, "event_time": 1_700_000_000_000 + n * 300}
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    script = Script(ToyJob(), tmp_path_factory.mktemp("answer")).add_data(rows(60)).run()
    return {name: (script.table(name), script.lines(name)) for name in TABLES}


@pytest.mark.parametrize("step", [step for step in Step if step not in UNREACHED])
def test_a_driver_that_sleeps_at_any_step_changes_nothing_when_it_wakes(tmp_path, answer, step):
    backup = LocalStore(str(tmp_path / "backup"))
    script = Script(ToyJob(), tmp_path, max_rows=25, keep_epochs=1, backup=backup).add_data(rows(60))
    old, slept = script.driver(), []

    def sleep(reached):
        if reached is step and not slept:
            slept.append(step)
            script.run()

    forget = observe(sleep)
    try:
        with pytest.raises(Superseded, match="a newer driver"):
            old.start()
    finally:
        forget()
    assert slept
    for name, (table, lines) in answer.items():
        assert_frame_equal(script.table(name), table)
        assert_frame_equal(script.lines(name), lines)
