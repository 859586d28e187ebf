"""The servers as fixtures: one of each per run, shared by all workers of pytest-xdist, stopped at its end."""

import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.server import Server, Unavailable, exclusive
from support.skips import REQUIRED

if TYPE_CHECKING:
    from services.kubernetes import ControlPlane
    from support.image import Builder

RUN: Final = "ECOMPULSE_SERVICES_RUN"
"""Environment variable: the run's shared folder; workers inherit it from the controller."""

MODULES: Final = {"kafka": "kafka", "redis": "redis", "postgres": "postgres", "moto": "s3"}
"""Fixture to module of this package."""

_own = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, unless a controller has."""
    if RUN not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="ecompulse-services-"))
        folder.chmod(0o755)  # servers that run as another user look through it
        os.environ[RUN] = str(folder)
        config.stash[_own] = folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which servers could not be had, and why."""
    folder = config.stash.get(_own, None)
    for path in sorted(folder.glob("*.json")) if folder else ():
        why = json.loads(path.read_text()).get("unavailable")
        if why:
            terminalreporter.write_line(f"services: {path.stem.capitalize()} tests skipped: {why}", yellow=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started; the controller's, or the only process's, business."""
    folder = config.stash.get(_own, None)
    if folder is None:
        return
    for path in folder.glob("*.json"):
        text = path.read_text()
        if "unavailable" not in json.loads(text):
            Server.load(text).stop()
    shutil.rmtree(folder, ignore_errors=True)
    del os.environ[RUN]


def shared(name: str) -> Server:
    """The run's server of that name, started by whoever asks first; skips, or fails, where it cannot be had."""
    folder = Path(os.environ[RUN])
    handle = folder / f"{name}.json"
    with exclusive(folder / f"{name}.lock"):
        if not handle.exists():
            try:
                server = importlib.import_module(f"services.{MODULES[name]}").start(folder / name)
                text = server.dump()
            except Unavailable as error:
                text = json.dumps({"unavailable": str(error)})
            handle.write_text(text)
    known = json.loads(handle.read_text())
    if "unavailable" in known:
        missing(name, known["unavailable"])
    return Server.load(handle.read_text())


def missing(name: str, why: str) -> None:
    """Skip a test whose server cannot be had; fail it where servers are required."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{name} is required ({REQUIRED}=1): {why}")
    pytest.skip(f"{name}: {why}")


@pytest.fixture(scope="session")
def kafka() -> Server:
    """A Kafka broker; see services.kafka for its facts."""
    return shared("kafka")


@pytest.fixture(scope="session")
def redis() -> Server:
    """A Redis server; see services.redis."""
    return shared("redis")


@pytest.fixture(scope="session")
def postgres() -> Server:
    """A PostgreSQL server; see services.postgres."""
    return shared("postgres")


@pytest.fixture(scope="session")
def moto() -> Server:
    """S3 and DynamoDB by moto; see services.s3."""
    return shared("moto")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator["ControlPlane"]:
    """A Kubernetes control plane without nodes; see services.kubernetes."""
    from services.kubernetes import start  # noqa: PLC0415  # few tests need it

    try:
        plane = start(tmp_path_factory.mktemp("kubernetes"))
    except Unavailable as error:
        pytest.skip(str(error))
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Builder"]:
    """The images `slim` and `spark`, built by the Dockerfile's own lines; see support.image."""
    from support.image import built  # noqa: PLC0415  # few tests need it

    folder = tmp_path_factory.mktemp("images")
    try:
        yield built(folder)
    except Unavailable as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # gigabytes
