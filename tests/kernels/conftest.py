"""What tests of kernels have in common."""

import pytest

from ecompulse.kernels.decode import api


@pytest.fixture(params=[0, api.FEW], ids=["columns", "rows"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON both ways: by columns, and row by row as batches of few rows are."""
    monkeypatch.setattr(api, "FEW", request.param)
