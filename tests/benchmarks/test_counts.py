"""A regression guard that does not time: see benchmarks/counts.py."""

import polars as pl
import pytest

from benchmarks import counts
from benchmarks.enrichment import make_shop
from ecompulse.epochs.shard_input import ShardInput


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("counts"), counts.EVENTS)


@pytest.mark.night
@pytest.mark.slow
@pytest.mark.heavy("whole jobs over 60,000 events, one thread")
@pytest.mark.parametrize("job", counts.JOBS)
def test_collects_shuffled_and_state_bytes_are_the_kept_ones(job, shop):
    kept = counts.kept()[job]
    found = counts.measured(*shop, job)
    assert found == pytest.approx(kept, rel=counts.SHARE, abs=1), (
        f"{job}: {found}, kept {kept}; if this is meant: python -m benchmarks.counts --write"
    )


def test_all_jobs_have_kept_counts():
    assert counts.kept().keys() == set(counts.JOBS)
    assert all(value > 0 for job in counts.JOBS[1:] for value in counts.kept()[job].values())


def test_bytes_at_a_grouping_are_those_of_rows():
    rows = pl.DataFrame({"a": [1, 2, 3]})
    assert counts.size_of((3, b"F" * 100)) == 108
    assert counts.size_of((3, rows)) == counts.size_of((3, ShardInput(rows))) == 8 + 24


def test_bytes_of_what_is_unknown_are_an_error():
    with pytest.raises(TypeError, match="object"):
        counts.size_of((1, object()))
