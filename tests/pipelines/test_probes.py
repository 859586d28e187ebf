"""`/livez` and `/readyz` of a job, over HTTP."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ecompulse.epochs.health import Health
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.exporter.endpoint import serve
from ecompulse.io.exporter.exporter import Exporter
from ecompulse.io.stores import LocalStore
from services.server import free_port
from support.process import command


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_probes_and_metrics_share_a_port(tmp_path: Path) -> None:
    port, health, now = free_port(), None, [0.0]
    health = Health(600, lambda: now[0])
    end = serve(Exporter("toy", LocalStore(str(tmp_path))).registry, str(port), None, health)
    try:
        assert asked(port, "/livez") == (200, "alive: 0 s since the start\n")
        assert asked(port, "/readyz") == (503, "not ready: no epoch was committed since the start\n")
        health.turned()
        now[0] = 601.0
        assert asked(port, "/livez") == (503, "stuck: 601 s since a turn of the loop, more than the limit of 600 s\n")
        assert asked(port, "/readyz?verbose") == (200, "ready\n")
        assert asked(port, "/metrics")[0] == 200
    finally:
        end()


@pytest.mark.slow
def test_a_job_is_ready_after_its_first_epoch(tmp_path: Path) -> None:
    lines = [
        {"event_id": f"e{n}", "event_type": "page_view", "event_time": 1_772_323_200_000 + n, "user_id": "u"}
        for n in range(4)
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in lines))
    port, found = free_port(), []
    forget = observe(
        lambda step: (
            found.append((asked(port, "/livez")[0], asked(port, "/readyz")[0])) if step is Step.PLANNED else None
        )
    )
    try:
        status, _, said = command(
            "pipelines.event_enrichment", f"--source={tmp_path / 'events.jsonl'}", "--warehouse=none",
            f"--checkpoint={tmp_path / 'checkpoint'}", f"--lake={tmp_path / 'lake'}", "--max_records_per_epoch=2",
            f"--metrics_port={port}", "--stuck_after=1m", "--progress=none",
        )  # fmt: skip
    finally:
        forget()
    assert status == 0, said
    assert found[:2] == [(200, 503), (200, 200)]
