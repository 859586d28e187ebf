"""A registry for tests of payloads; no schema of the test before is known."""

import pytest

from ecompulse.io.payloads import registry as registries
from services.registry import StubRegistry


@pytest.fixture(autouse=True)
def _fresh():
    registries.forget()


@pytest.fixture
def stub():
    with StubRegistry() as registry:
        yield registry
