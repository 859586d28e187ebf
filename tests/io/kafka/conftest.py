from collections.abc import Iterator

import pytest

from services.server import Server
from support.topics import Topics


@pytest.fixture(scope="session")
def topics(kafka: Server) -> Iterator[Topics]:
    found = Topics(kafka.facts["bootstrap"])
    yield found
    found.close()
