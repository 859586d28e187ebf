"""JSON rows with and without the native pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ecompulse.kernels.decode import native

needs_native = pytest.mark.skipif(not native.INTERFACE, reason="native: ecompulse_native is absent (`make native`)")


@contextmanager
def switched(way: str) -> Iterator[None]:
    """Decoding by the native pass (1) or without it (0)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.SWITCH, way)
        yield


@pytest.fixture(scope="module", params=["0", pytest.param("1", marks=needs_native)], ids=["pure", "native"])
def either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Decoding both ways."""
    with switched(request.param):
        yield
