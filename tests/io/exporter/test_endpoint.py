"""The Prometheus endpoint: what a scrape finds while a job runs, and that it stays bounded."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ecompulse.epochs.errors import UserError
from ecompulse.io.exporter.endpoint import serve
from ecompulse.io.exporter.exporter import Exporter
from ecompulse.io.stores import LocalStore
from pipelines import event_enrichment
from services.server import free_port

BASE = 1_772_323_200_000
MINUTE = 60_000


Sample = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels."""


def scrape(port: int) -> dict[Sample, float]:
    """Samples by name and labels; nothing while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(command: list[str], port: int, wanted: Sample) -> tuple[dict[Sample, float], str]:
    """Samples of a running job once the wanted one is there, and what the job said; it is ended then."""
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    found: dict[Sample, float] = {}
    try:
        deadline = time.monotonic() + 180
        while not found.get(wanted) and time.monotonic() < deadline and job.poll() is None:
            time.sleep(0.5)
            found = scrape(port)
    finally:
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=60)
    return found, said


def line(number: int) -> str:
    event = {
        "event_id": f"e{number}", "event_type": "page_view", "event_time": BASE + number * MINUTE // 4, "user_id": "u1",
    }  # fmt: skip
    return json.dumps(event) + "\n"


@pytest.mark.slow
def test_a_scrape_of_a_running_job_shows_progress_quality_and_kpis(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("".join(line(n) for n in range(200)) + "not json\n")
    port = free_port()
    command = [
        sys.executable, "-m", "pipelines.realtime_metrics", f"--source={tmp_path / 'events.jsonl'}", "--rules=none",
        f"--checkpoint={tmp_path / 'checkpoint'}", f"--lake={tmp_path / 'lake'}", "--warehouse=none", "--trigger=500ms",
        "--watermark_delay=1m", "--quality_window=10m", f"--metrics_port=127.0.0.1:{port}", "--progress=none",
    ]  # fmt: skip
    views = ("ecompulse_kpi", tuple(sorted({
        "job_name": "realtime_metrics", "metric": "page_views", "window_size": "10m/1m",
    }.items())))  # fmt: skip
    found, said = scraped(command, port, views)
    assert views in found, said
    assert found[views] == 40
    of_job = (("job_name", "realtime_metrics"),)
    assert found["ecompulse_input_rows_total", of_job] == 201
    assert found["ecompulse_output_rows_total", (*of_job, ("table", "dead_letters"))] == 1
    assert found["ecompulse_epochs_total", of_job] >= 2
    broken = ("ecompulse_data_quality_findings_total", (("check_name", "null_rate"), *of_job, ("subject", "price")))
    assert found[broken] % 40 == 0
    assert found["ecompulse_watermark_timestamp_seconds", of_job] == (BASE + 199 * MINUTE // 4 - MINUTE) / 1000
    assert found["ecompulse_event_latency_seconds", (*of_job, ("statistic", "max"))] > 0
    assert scrape(port) == {}


@pytest.mark.slow
def test_a_scrape_of_anomaly_detection_shows_decisions_and_models(tmp_path: Path) -> None:
    rows = [
        {"event_id": f"p{n}", "event_type": "payment", "event_time": BASE + n * MINUTE, "user_id": f"u{n % 7}",
         "payment_id": f"p{n}", "amount": 10 + n % 5, "currency": "EUR"}
        for n in range(200)
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    port = free_port()
    command = [
        sys.executable, "-m", "pipelines.anomaly_detection", f"--source={tmp_path / 'events.jsonl'}", "--detect=fraud",
        f"--checkpoint={tmp_path / 'checkpoint'}", f"--lake={tmp_path / 'lake'}", "--warehouse=none", "--trigger=500ms",
        f"--metrics_port=127.0.0.1:{port}", "--progress=none",
    ]  # fmt: skip
    passed = ("ecompulse_transactions_total", (("decision", "pass"), ("job_name", "anomaly_detection")))
    found, said = scraped(command, port, passed)
    assert passed in found, said
    assert found[passed] == 189  # what the watermark has passed: the last, and what is ten minutes before it, wait
    assert found["ecompulse_model", (("fact", "threshold"), ("job_name", "anomaly_detection"))] == 0.5


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.jsonl").write_text(line(1))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        flags = [f"--source={tmp_path / 'events.jsonl'}", f"--metrics_port={address}", "--warehouse=none"]
        flags += [f"--checkpoint={tmp_path / 'c'}", f"--lake={tmp_path / 'l'}"]
        assert event_enrichment.main(flags) == 2
    assert capsys.readouterr().err == f"event_enrichment: --metrics_port: {address}: Address already in use\n"


def reached(where: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((where, port)) == 0


@pytest.mark.parametrize(
    ("address", "host", "near", "far"),
    [
        ("{}", None, True, False), ("{}", "0.0.0.0", True, True), ("{}", "127.0.0.2", False, True),  # noqa: S104
        ("0.0.0.0:{}", None, True, True), ("127.0.0.2:{}", None, False, True), (":{}", None, True, False),
        ("{}", "localhost", True, False),
    ],
)  # fmt: skip
def test_only_this_machine_is_answered_unless_a_host_is_given(
    tmp_path: Path, address: str, host: str | None, near: bool, far: bool
) -> None:
    port = free_port()
    end = serve(Exporter("toy", LocalStore(str(tmp_path))).registry, address.format(port), host)
    try:
        assert (reached("127.0.0.1", port), reached("127.0.0.2", port)) == (near, far)
    finally:
        end()


@pytest.mark.parametrize(
    ("address", "host", "said"),
    [
        ("1.2.3.4:9100", "127.0.0.1", "--metrics_host: 127.0.0.1: --metrics_port=1.2.3.4:9100 names a host already"),
        ("9100", "192.0.2.1", "--metrics_host: 192.0.2.1: Cannot assign requested address"),
        ("9100", "no host", "--metrics_host: no host: "),
        ("x", "127.0.0.1", "--metrics_port: x: give PORT or HOST:PORT"),
    ],
)
def test_a_host_that_cannot_be_is_refused(tmp_path: Path, address: str, host: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        serve(Exporter("toy", LocalStore(str(tmp_path))).registry, address, host)
    assert str(error.value).startswith(said)


def test_a_job_is_told_its_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.jsonl").write_text(line(1))
    flags = [f"--source={tmp_path / 'events.jsonl'}", f"--metrics_port={free_port()}", "--metrics_host=192.0.2.1"]
    flags += ["--warehouse=none", f"--checkpoint={tmp_path / 'c'}", f"--lake={tmp_path / 'l'}"]
    assert event_enrichment.main(flags) == 2
    assert "event_enrichment: --metrics_host: 192.0.2.1: " in capsys.readouterr().err


@pytest.mark.parametrize("address", ["x", "99999999", ":"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="--metrics_port: "):
        serve(Exporter("toy", LocalStore(str(tmp_path))).registry, address)
