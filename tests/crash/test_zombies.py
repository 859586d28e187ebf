"""A driver asleep at any step while its successor runs to the end: nothing doubled, nothing lost, one clear error."""

import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.steps import Step
from ecompulse.io.stores import LocalStore
from support.script import Script
from support.toy import ToyJob, rows

pytestmark = pytest.mark.slow

TABLES = ("rows", "totals")
UNREACHED = {
    Step.WAREHOUSE_BEFORE_COMMIT: "the script has no warehouse; a transaction that sleeps holds its lock",
    Step.WAREHOUSE_COMMITTED: "the script has no warehouse",
    **{step: "the script tells nobody" for step in Step if step.value.startswith("alerts.")},
    **{step: "the script writes no topic" for step in Step if step.value.startswith("kafka.")},
}


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    script = Script(ToyJob(), tmp_path_factory.mktemp("answer")).add_data(rows(60)).run()
    return {name: (script.table(name), script.lines(name)) for name in TABLES}


@pytest.mark.parametrize("step", [step for step in Step if step not in UNREACHED])
def test_a_driver_that_sleeps_at_any_step_changes_nothing_when_it_wakes(tmp_path, answer, step):
    backup = LocalStore(str(tmp_path / "backup"))
    script = Script(ToyJob(), tmp_path, max_rows=25, keep_epochs=1, backup=backup).add_data(rows(60))
    assert script.sleep_at(step)
    for name, (table, lines) in answer.items():
        assert_frame_equal(script.table(name), table)
        assert_frame_equal(script.lines(name), lines)
