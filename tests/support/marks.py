"""What runs on every push, and what only at night."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def nightly(cases: Iterable[Any], push: Collection[Any]) -> list[Any]:
    """Cases of a test's parameter: those of `push` run always, the others at night."""
    cases = list(cases)
    unknown = [case for case in push if case not in cases]
    assert not unknown, f"no such cases: {unknown}"
    return [case if case in push else pytest.param(*_values(case), marks=pytest.mark.night) for case in cases]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
