"""Epochs without rows: an operator that watches for silence gets them, and only on an endless stream."""

import pytest

from ecompulse.epochs.plan import Operator, Planner, Position
from ecompulse.epochs.watermark import WatermarkPolicy
from ecompulse.io.files import FileSource
from support.toy import CountPerKey

NOW = 1_700_000_000_000


def draft(folder, *, every, endless, waited):
    planner = Planner(
        [FileSource(str(folder), 0)], WatermarkPolicy(0, 60_000), [Operator(CountPerKey(), every=every)],
        drain=False, endless=endless,
    )  # fmt: skip
    at = Position.start(1)
    at.epoch, at.now = 3, NOW
    return planner.draft(at, NOW + waited, 100)


@pytest.mark.parametrize(
    ("every", "endless", "waited", "planned"),
    [
        (5_000, True, 5_000, True),
        (5_000, True, 4_999, False),
        (5_000, False, 60_000, False),
        (None, True, 60_000, False),
    ],
)
def test_an_epoch_is_planned_for_time_alone(tmp_path, every, endless, waited, planned):
    found = draft(tmp_path, every=every, endless=endless, waited=waited)
    assert (found is not None) is planned
    if found:
        assert found.splits == []
        assert found.now == NOW + waited
