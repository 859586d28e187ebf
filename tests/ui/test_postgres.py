"""The page of the shop on PostgreSQL: what SQLite shows of the same day."""

import pytest

from ecompulse.io.sinks.database import open_engine
from ecompulse.simulator.__main__ import main as simulate
from ecompulse.ui.app import Sources, make_app
from ecompulse.ui.shop import read_shop
from ecompulse.ui.view import View
from services.postgres import Databases
from support.asgi import get
from support.process import command

pytestmark = [pytest.mark.night, pytest.mark.slow, pytest.mark.heavy("three jobs, twice")]

JOBS = ("realtime_metrics", "session_analytics", "anomaly_detection")


def test_both_databases_show_the_same(postgres, tmp_path):
    assert simulate([f"--out={tmp_path / 'shop'}", "--events=6000", "--seed=3"]) == 0
    urls = {"sqlite": f"sqlite:///{tmp_path / 'w.db'}", "postgresql": Databases(postgres).new()}
    for name, url in urls.items():
        for job in JOBS:
            root = tmp_path / name
            flags = [f"--checkpoint={root / job}", f"--lake={root / 'lake'}", "--drain", "--progress=none"]
            status, _, said = command(
                f"pipelines.{job}", *flags, f"--warehouse={url}", f"--source={tmp_path / 'shop' / 'events'}"
            )
            assert status == 0, said
    engines = {name: open_engine(url) for name, url in urls.items()}
    for view in (View(), View("1d", "device")):
        ours, theirs = (read_shop(engine, view) for engine in engines.values())
        assert ours[0] == theirs[0]
        assert len(ours[0]) > 3
        for one, other in zip(ours[1], theirs[1], strict=True):
            assert (one.title, len(one.rows), one.why) == (other.title, len(other.rows), other.why)
    quality, revenue = ([panel for panel in read[1] if panel.table == name][-1] for read in (theirs,) for name in
                        ("data_quality", "metrics"))  # fmt: skip
    assert quality.rows
    assert revenue.title == "Revenue by device"
    assert get(make_app(Sources(list, None, engines["postgresql"])), "/shop?span=1d").status == 200
