import json
from pathlib import Path
from typing import Any

import pytest

from ecompulse.simulator.episodes import CardTesting, CheckoutOutage
from ecompulse.simulator.settings import HOUR_MS, Settings
from ecompulse.simulator.shop import Chunk, simulate
from ecompulse.simulator.store import write
from ecompulse.simulator.truth import Truth

SMALL = Settings(
    seed=5, events=12_000, broken=0.02, late=0.004, unknown_fields=0.01, unknown_types=0.01, shared_device=0.2
)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return SMALL


@pytest.fixture(scope="session")
def chunks() -> list[Chunk]:
    return list(simulate(SMALL).chunks())


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("shop")
    return folder, write(simulate(SMALL), folder)


@pytest.fixture(scope="session")
def lines(written) -> list[bytes]:
    files = sorted((written[0] / "events").iterdir())
    return [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]


@pytest.fixture(scope="session")
def good(chunks, lines) -> list[dict[str, Any]]:
    """Every good event once, as its line says, in order of arrival."""
    flaws = [flaw for chunk in chunks for flaw in chunk.rows["flaw"]]
    return [json.loads(line) for line, flaw in zip(lines, flaws, strict=True) if flaw == 0]


@pytest.fixture(scope="session")
def befallen() -> list[Chunk]:
    episodes = (CheckoutOutage(after_ms=18 * HOUR_MS, length_ms=2 * HOUR_MS), CardTesting(after_ms=3 * HOUR_MS))
    return list(simulate(Settings(seed=5, events=20_000, broken=0, episodes=episodes)).chunks())
