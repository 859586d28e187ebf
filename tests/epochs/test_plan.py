"""What the next epoch is, from what the sources offer."""

import json

from ecompulse.epochs.plan import Operator, Planner, Position
from ecompulse.epochs.watermark import Seen, WatermarkPolicy
from ecompulse.io.files import FileSource
from support.toy import CountPerKey

NOW = 1_700_000_000_000


def test_a_drain_goes_by_the_latest_event_whatever_other_streams_have_told(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({}) + "\n")
    sources = [FileSource(str(tmp_path), 0), FileSource(str(tmp_path), 1, role="labels")]
    planner = Planner(sources, WatermarkPolicy(1_000, 60_000), [Operator(CountPerKey())], drain=True)
    at = Position.start(2)
    first = planner.draft(at, NOW, 100)
    assert first is not None
    assert (first.drain, first.reached) == (None, None)
    at.epoch, at.now, at.watermark = 1, NOW, 4_000
    at.sources = [dict(backlog.positions) for backlog in first.backlogs]
    at.seen = {"0/0": Seen(5_000, NOW), "1/0": Seen(9_000_000, NOW)}
    at.state = {"count": {"0": {"due": 50_000}}}
    drained = planner.draft(at, NOW, 100)
    assert drained is not None
    assert (drained.drain, drained.reached) == (5_000, 5_000)
