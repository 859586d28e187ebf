import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_fifth_job_in_thirty_lines(tmp_path):
    script = ROOT / "examples" / "landing_pages.py"
    lines = [
        line
        for line in script.read_text().splitlines()
        if line.strip() and not line.startswith(('"""', "from", "import"))
    ]
    assert len(lines) <= 30
    write(simulate(Settings(seed=5, events=3000)), tmp_path / "shop")
    flags = [f"--source={tmp_path / 'shop' / 'events'}", f"--lake={tmp_path / 'lake'}", "--warehouse=none", "--drain"]
    done = subprocess.run(
        [sys.executable, str(script), *flags, f"--checkpoint={tmp_path / 'checkpoint'}"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    bounces = pl.from_arrow(DeltaTable(str(tmp_path / "lake" / "bounces")).to_pyarrow_table())
    assert bounces.height > 20
    assert bounces["bounced"].all()
    assert (bounces["page_views"] + bounces["product_views"] == 1).all()
