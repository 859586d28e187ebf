"""What the entry point of the images does with signals and exit statuses, with scripts in the place of Spark."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.process import wait_until

ENTRYPOINT = Path(__file__).parents[2] / "docker" / "entrypoint"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A SPARK_HOME whose spark-submit runs a job as its child, and ends as it ends; SIGTERM kills it at once."""
    (tmp_path / "bin").mkdir()
    submit = tmp_path / "bin" / "spark-submit"
    submit.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\nsh {tmp_path}/job & wait $!\n')
    submit.chmod(0o755)
    return tmp_path


def start(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_DRIVER_BIND_ADDRESS": "10.1.2.3", "TMPDIR": str(home)}
    return subprocess.Popen(
        [ENTRYPOINT, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def job(home: Path, *, leaves_pid: bool = True) -> None:
    """A job that ends its epoch when it is asked to."""
    lines = ['echo $$ > "$ECOMPULSE_DRIVER_PID"'] if leaves_pid else []
    lines += [
        "trap 'echo epoch ended; exit 130' TERM",
        f"touch {home}/begun",
        f"until [ -e {home}/over ]; do sleep 0.05; done",
    ]
    (home / "job").write_text("\n".join(lines) + "\n")


def test_sigterm_reaches_the_job_and_its_status_comes_back(home: Path) -> None:
    job(home)
    process = start(home, "driver", "--class", "x", "local:///main.py", "event_enrichment")
    wait_until((home / "begun").exists)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "epoch ended\n")
    assert (home / "told").read_text() == (
        "--deploy-mode client --conf spark.driver.bindAddress=10.1.2.3 "
        "--conf spark.executorEnv.SPARK_DRIVER_POD_IP=10.1.2.3 --class x local:///main.py event_enrichment\n"
    )


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_driver_that_ends_tells_how(home: Path, status: int) -> None:
    (home / "job").write_text(f"exit {status}\n")
    process = start(home, "driver")
    process.communicate(timeout=30)
    assert process.returncode == status


def test_before_there_is_a_job_sigterm_ends_spark_submit(home: Path) -> None:
    job(home, leaves_pid=False)
    process = start(home, "driver")
    wait_until((home / "begun").exists)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: process.poll() is not None)
    assert process.returncode == 128 + signal.SIGTERM
    (home / "over").touch()


def test_an_executor_gets_its_options_in_order(home: Path) -> None:
    java = home / "java"
    java.write_text('#!/bin/sh\nfor text in "$@"; do echo "$text"; done\n')
    java.chmod(0o755)
    told = {
        "SPARK_EXECUTOR_MEMORY": "1g", "SPARK_DRIVER_URL": "spark://d:1", "SPARK_EXECUTOR_ID": "7",
        "SPARK_EXECUTOR_CORES": "4", "SPARK_APPLICATION_ID": "app", "SPARK_EXECUTOR_POD_IP": "10.9.8.7",
        "SPARK_EXECUTOR_POD_NAME": "x-exec-7", "SPARK_HOME": "/opt/spark",
        **{f"SPARK_JAVA_OPT_{number}": f"-Done={number} two" for number in range(12)},
    }  # fmt: skip
    environment = {**os.environ, "PATH": f"{home}:{os.environ['PATH']}", **told}
    done = subprocess.run([ENTRYPOINT, "executor"], env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[:12] == [f"-Done={number} two" for number in range(12)]
    assert lines[12:16] == ["-Xms1g", "-Xmx1g", "-cp", "/opt/spark/conf:/opt/spark/jars/*"]
    assert lines[-2:] == ["--podName", "x-exec-7"]
