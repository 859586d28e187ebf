"""The Dockerfile: what it says, and what its own lines make, run without a container engine."""

import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from support.image import Builder, Image, Volume, container, in_container, parse
from support.process import events, wait_until, write_lines

ROOT = Path(__file__).parents[2]
LINES = parse((ROOT / "Dockerfile").read_text())
TARGETS = ("slim", "spark")
USER = 10001


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {"": []}
    for line in LINES:
        if line.word == "FROM":
            base, _, name = line.rest.partition(" AS ")
            found[name] = list(found.get(base, []))
        found[list(found)[-1] if line.word != "FROM" else name].append((line.word, line.rest))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_in_particular_under_tini(target: str) -> None:
    said = stages()[target]
    assert said[-1] == ("USER", f"{USER}:{USER}")
    entry = [rest for word, rest in said if word == "ENTRYPOINT"][-1]
    assert entry.startswith('["/usr/bin/tini", "--", ')


def test_what_comes_from_outside_has_an_exact_version() -> None:
    images = [rest for word, rest in stages()[""] if word == "ARG" and rest.partition("=")[0].endswith("_IMAGE")]
    assert len(images) == 2
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images), images
    installed = " ".join(line.rest for line in LINES if "apt-get install" in line.rest)
    packages = re.findall(r"--no-install-recommends (.*?) &&", installed)[0].split()
    assert all("=" in package for package in packages), packages
    [uv] = {line.rest for line in LINES if line.rest.startswith("UV_VERSION=")}
    assert re.fullmatch(r"UV_VERSION=\d+\.\d+\.\d+", uv)


def test_the_context_holds_what_is_copied() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in LINES:
        if line.word == "COPY" and "--from" not in line.rest:
            for source in line.rest.split()[:-1]:
                assert any(source == name or source.startswith(f"{name}/") for name in kept), source


@pytest.fixture
def data(tmp_path: Path) -> list[Volume]:
    """A folder for /data that the image's user owns, and one for /tmp."""
    for name, mode in (("data", 0o755), ("tmp", 0o1777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    write_lines(tmp_path / "data" / "events" / "a.jsonl", events(50))
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        os.chown(path, USER, USER)
    return [Volume(tmp_path / "data", "/data"), Volume(tmp_path / "tmp", "/tmp")]  # noqa: S108


def image(images: Builder, target: str) -> Image:
    return images.stages[target]


@pytest.mark.heavy("both images are built, from the registries' packages")
@pytest.mark.night
@pytest.mark.slow
def test_every_line_that_makes_something_was_run(images: Builder) -> None:
    makes = [line for line in LINES if line.word in {"RUN", "COPY", "WORKDIR"}]
    assert len(images.ran) == len(makes)


@pytest.mark.night
@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_a_job_on_a_root_that_is_read_only(
    images: Builder, data: list[Volume], tmp_path: Path, target: str
) -> None:
    flags = ["--source=/data/events", "--drain", "--warehouse=sqlite:////data/w.db", "--progress=none"]
    done = in_container(image(images, target), tmp_path / "own", "event_enrichment", *flags, volumes=data)
    assert done.returncode == 0, done.stderr
    shown = in_container(image(images, target), tmp_path / "own2", "show", "enriched_events", "--limit=1", volumes=data)
    assert shown.returncode == 0, shown.stderr
    assert {path.stat().st_uid for path in (tmp_path / "data" / "lake").rglob("*")} == {USER}


@pytest.mark.night
@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_tool_of_the_build_is_left(images: Builder, tmp_path: Path, target: str) -> None:
    script = "id -u; ls /opt/ecompulse/bin; ls / | grep -x build; touch /opt/x 2>&1"
    done = in_container(image(images, target), tmp_path / "own", "-c", script, command=["sh"])
    lines = done.stdout.splitlines()
    assert lines[0] == str(USER)
    assert not {"uv", "pip", "gcc", "cc", "build"} & set(lines)
    assert lines[-1].endswith("Read-only file system")


@pytest.mark.heavy("Spark starts in its image")
@pytest.mark.night
@pytest.mark.slow
def test_what_submit_prints_runs_as_it_stands(images: Builder, data: list[Volume], tmp_path: Path) -> None:
    (data[0].folder / "job.yaml").write_text(
        "runner: PySparkRunner\nsource: /data/events\nwarehouse: none\nnum_shards: 2\nprogress: none\n"
    )
    printed = 'ecompulse submit event_enrichment --config=/data/job.yaml --master="local[1]"'
    own = tmp_path / "own"
    done = in_container(
        image(images, "spark"), own, "-c", f'line="$({printed})"; eval "$line"', command=["sh"], volumes=data
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "lake" / "enriched_events" / "_delta_log").exists()


@pytest.mark.heavy("Spark starts in its image")
@pytest.mark.night
@pytest.mark.slow
def test_sigterm_reaches_the_driver_through_tini_and_spark_submit(
    images: Builder, data: list[Volume], tmp_path: Path
) -> None:
    flags = ["--source=/data/events", "--runner=PySparkRunner", "--trigger=1s", "--num_shards=2", "--warehouse=none"]
    spark = ["--conf", "spark.pyspark.driver.python=/opt/ecompulse/bin/driver-python", "--master", "local[1]"]
    arguments = ["driver", *spark, "/opt/ecompulse/main.py", "event_enrichment", *flags, "--progress=json"]
    environment = {"SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1", "SPARK_LOCAL_DIRS": "/tmp"}  # noqa: S108
    line = container(image(images, "spark"), tmp_path / "own", arguments, environment=environment, volumes=data)
    log = tmp_path / "log"
    with log.open("w") as told:
        process = subprocess.Popen(line, stdout=told, stderr=told, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: '"batchId": 1' in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()[-3000:]
        [tini] = psutil.Process(process.pid).children()
        assert tini.name() == "tini"
        tini.send_signal(signal.SIGTERM)
        wait_until(lambda: process.poll() is not None)
    finally:
        process.kill()
    assert process.returncode == 130, log.read_text()[-3000:]
    assert "event_enrichment: interrupted; checkpoint /data/checkpoints/event_enrichment is at epoch" in log.read_text()
