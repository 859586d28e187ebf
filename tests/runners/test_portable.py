"""Beam's portable runners stay open to every job: the Fn API's own protocol, proved with Prism's job server."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.errors import UserError
from ecompulse.runners.engine import find_prism
from services.server import Server, free_port, listening
from support.marks import nightly
from support.place import Place
from support.process import events, wait_until, write_lines

TABLES = ("enriched_events", "dead_letters")


@pytest.fixture(scope="module")
def job_server(tmp_path_factory):
    """Prism as a job server that others connect to, or whichever runs at ECOMPULSE_JOB_SERVER."""
    if given := os.environ.get("ECOMPULSE_JOB_SERVER"):
        yield given
        return
    try:
        binary = find_prism()
    except UserError as error:
        pytest.skip(str(error))
    port, web = free_port(), free_port()
    command = [binary, f"--job_port={port}", "--serve_http=false", f"--web_port={web}"]
    server = Server("prism", command, tmp_path_factory.mktemp("prism"), port).start()
    yield f"localhost:{port}"
    server.stop()


@pytest.fixture
def pool():
    """Workers that are started by themselves, as beside the task managers of a cluster."""
    port = free_port()
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    # It starts its workers as `python`.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(command, start_new_session=True, env=environment)
    wait_until(lambda: listening(port))
    yield f"localhost:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def command(tmp_path):
    """What `ecompulse-worker` is where the project is installed; leaves the file `started`."""
    script = tmp_path / "worker"
    script.write_text(f'#!/bin/sh\ntouch {tmp_path}/started\nexec {sys.executable} -m ecompulse.runners.worker "$@"\n')
    script.chmod(0o755)
    yield json.dumps({"command": str(script)})
    assert (tmp_path / "started").exists()


def run(folder: Path, source: Path, *flags: str):
    command = [sys.executable, "-m", "pipelines.event_enrichment", *Place(folder, source).arguments("--drain", *flags)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Place(folder, source).tables()


@pytest.mark.slow
@pytest.mark.heavy("Beam is imported in several processes")
@pytest.mark.parametrize("environment", nightly(["LOOPBACK", "EXTERNAL", "PROCESS"], ["LOOPBACK"]))
def test_workers_of_every_kind_give_the_same_tables(job_server, request, tmp_path, environment):
    source = write_lines(tmp_path / "in" / "1.jsonl", events(120))
    expected = run(tmp_path / "in-process", source)
    flags = ["--runner=PortableRunner", f"--job_endpoint={job_server}", f"--environment_type={environment}"]
    if environment != "LOOPBACK":
        config = request.getfixturevalue("pool" if environment == "EXTERNAL" else "command")
        flags.append(f"--environment_config={config}")
    found = run(tmp_path / environment, source, *flags)
    for name in TABLES:
        assert expected[name].height
        assert_frame_equal(found[name], expected[name])
