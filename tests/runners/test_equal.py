"""Each job writes the same tables on LocalRunner and on Beam's own runner of one process."""

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from ecompulse.runners.engine import FROZEN
from support.jobs import JOBS, make_shop, run
from support.marks import nightly

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.heavy("a whole job on Beam's own runner, and one with all its frames hashed")
@pytest.mark.parametrize("job", nightly(JOBS, ["event_enrichment"]))
def test_a_job_is_the_same_on_both_runners_and_changes_no_frame_in_place(job, shop, tmp_path, monkeypatch):
    expected = run(job, shop, tmp_path / "beam", "--runner=DirectRunner", "--max_records_per_epoch=1500")
    monkeypatch.setenv(FROZEN, "1")
    found = run(job, shop, tmp_path / "local", "--runner=LocalRunner", "--max_records_per_epoch=1500")
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        assert frame.height, name
        assert_frame_equal(found[name], frame)
