"""A window of data quality that is over stays as it is: what comes late counts in a window that is open."""

import json

import polars as pl
import pytest

from support.process import Shop, write_lines

HOUR = 3_600_000
START = 1_740_787_200_000


@pytest.mark.parametrize("job", ["realtime_metrics", "session_analytics", "anomaly_detection"])
def test_no_row_of_a_job_comes_twice_in_one_revision_and_every_event_is_looked_at_once(tmp_path, job):
    told = [
        {
            "event_id": f"e{at}",
            "event_type": "page_view",
            "event_time": START + at * HOUR // 10,
            "user_id": f"u{at % 7}",
        }
        for at in range(80)
    ]
    told.append({**told[0], "event_id": "late"})  # of the first hour, which is long over
    source = write_lines(tmp_path / "in.jsonl", map(json.dumps, told))
    flags = ("--max_records_per_epoch=20", "--progress=none", "--warehouse=none")
    assert Shop(tmp_path, source, flags, job).run_here("--drain")[0] == 0
    rows = pl.read_delta(str(tmp_path / "lake" / "data_quality"))
    assert not rows.select("id", "revision").is_duplicated().any()
    assert rows.filter(pl.col("check_name") == "bot")["rows"].sum() == len(told)
