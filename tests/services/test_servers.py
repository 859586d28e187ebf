import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services import fixtures
from services.fixtures import missing
from services.server import Server, Unavailable, free_port, listening
from support.process import wait_until
from support.skips import REQUIRED

SERVE = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"


def small_server(folder: Path, code: str = SERVE) -> Server:
    port = free_port()
    return Server("small", [sys.executable, "-c", code, str(port)], folder, port)


def test_server_starts_dies_and_comes_back_on_its_port(tmp_path: Path) -> None:
    server = small_server(tmp_path).start()
    try:
        first = server.pid
        server.kill()
        assert not listening(server.port)
        server.restart()
        assert listening(server.port)
        assert server.pid != first
    finally:
        server.stop()
    assert not server.running


def test_handle_of_another_process_stops_it_even_when_paused(tmp_path: Path) -> None:
    server = small_server(tmp_path).start()
    server.pause()
    Server.load(server.dump()).stop()
    wait_until(lambda: not server.running)  # the parent learns of it a moment after it is a zombie to others


def test_server_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ended at its start: no luck"):
        small_server(tmp_path, "raise SystemExit('no luck')").start()


def test_missing_server_skips_and_fails_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="kafka: no Java"):
        missing("kafka", "no Java")
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match=r"kafka is required .*: no Java"):
        missing("kafka", "no Java")


RUN_OF_ITS_OWN = """
def test_one(kafka): assert False, "needs the server"
def test_two(kafka): assert False, "needs the server"
"""


def test_a_run_without_java_ends_with_a_line_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(RUN_OF_ITS_OWN)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["services.fixtures"]')
    environment = {**os.environ, "PATH": "/nowhere", "PYTHONPATH": str(Path(fixtures.__file__).parents[1])}
    for name in (fixtures.RUN, REQUIRED):
        environment.pop(name, None)
    called = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(called, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert "2 skipped" in done.stdout
    assert "services: Kafka tests skipped: there is no Java" in done.stdout


@pytest.mark.slow
def test_shared_broker_is_one_and_serves(kafka: Server) -> None:
    assert fixtures.shared("kafka").pid == kafka.pid
    assert kafka.running
    assert listening(int(kafka.facts["secure"].rpartition(":")[2]))


def test_services_by_hand_stop_on_interrupt() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(fixtures.__file__).parents[1]), "PATH": "/nowhere"}
    process = subprocess.Popen(
        [sys.executable, "-m", "services", "kafka"], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    said = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert said[0].startswith("kafka: not here: there is no Java")
    assert said[1].startswith("services: running")
    assert rest.startswith("services: stopping")
    assert process.returncode == 0
