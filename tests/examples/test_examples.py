"""A job of somebody's own: fifteen lines, one import, nothing lost in silence."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from support.process import command

SCRIPT = Path(__file__).parents[2] / "examples" / "landing_pages.py"


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.from_arrow(DeltaTable(str(folder / "lake" / name)).to_pyarrow_table())


def flags(folder: Path, shop: Path) -> list[str]:
    places = [f"--lake={folder / 'lake'}", f"--checkpoint={folder / 'checkpoint'}", "--warehouse=none"]
    return [f"--source={shop / 'events'}", *places, "--drain", "--max_records_per_epoch=500", "--progress=none"]


@pytest.mark.slow
def test_a_fifth_job_in_fifteen_lines(tmp_path):
    lines = [line for line in SCRIPT.read_text().splitlines() if line.strip()]
    assert len(lines) <= 15
    assert sum(line.startswith(("import", "from")) for line in lines) == 1
    write(simulate(Settings(seed=5, events=4000)), tmp_path / "shop")
    view = {"event_type": "page_view", "event_time": "2025-09-01T03:00:00Z"}  # hours before the end of the day
    late = [{**view, "event_id": f"late{number}", "user_id": f"somebody{number}"} for number in range(20)]
    (tmp_path / "shop" / "events" / "z.jsonl").write_text("".join(json.dumps(event) + "\n" for event in late))
    own, job_two = tmp_path / "own", tmp_path / "job_two"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *flags(own, tmp_path / "shop")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert command("pipelines.session_analytics", *flags(job_two, tmp_path / "shop"), "--keep_duplicates")[0] == 0
    hour = pl.col("session_end").dt.truncate("1h").alias("window_start")
    sessions = table(job_two, "sessions").sort("revision").unique("id", keep="last")
    expected = sessions.group_by(hour, "entry_url").agg(rows=pl.len(), bounced=pl.col("bounced").sum())
    bounces = table(own, "bounces").sort("revision").unique("id", keep="last").select(expected.columns)
    assert bounces.height > 20
    assert_frame_equal(bounces, expected, check_row_order=False, check_dtypes=False)
    # Its late rows are kept and counted without a word of its own.
    kept, quality = table(own, "late_events"), table(own, "data_quality").filter(pl.col("check_name") == "late")
    assert kept.height == quality["count"].sum() == table(job_two, "late_events").height >= 20


def test_the_readme_shows_it_as_it_is():
    assert f"```python\n{SCRIPT.read_text()}```" in (SCRIPT.parents[1] / "README.md").read_text()
