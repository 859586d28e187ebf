"""The jobs write the same tables with the native pass over JSON rows and without it."""

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from support.jobs import JOBS, make_shop, run
from support.marks import nightly
from support.native import needs_native, switched

pytestmark = [pytest.mark.slow, needs_native]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("job", nightly(JOBS, ["event_enrichment"]))
def test_a_job_is_the_same_with_the_native_pass(job, shop, tmp_path):
    with switched("0"):
        expected = run(job, shop, tmp_path / "pure")
    with switched("1"):
        found = run(job, shop, tmp_path / "native")
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        assert frame.height, name
        assert_frame_equal(found[name], frame)
