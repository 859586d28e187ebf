from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from ecompulse.io.kafka.cluster import Cluster
from ecompulse.io.kafka.reader import close_idle
from ecompulse.io.kafka.sink import KafkaSink
from services.server import Server
from support.topics import Topics


@pytest.fixture(scope="session")
def topics(kafka: Server) -> Iterator[Topics]:
    found = Topics(kafka.facts["bootstrap"])
    yield found
    found.close()


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a test opened and left, as a killed job does; each has four files open, and its process may have 1,024."""
    opened: list[Any] = []
    for kind in (Cluster, KafkaSink):
        make = kind.__init__

        def noted(self: Any, *args: Any, _make: Any = make, **named: Any) -> None:
            opened.append(self)
            _make(self, *args, **named)

        monkeypatch.setattr(kind, "__init__", noted)
    yield opened
    for each in opened:
        with suppress(Exception):
            each.close()
    close_idle()
