"""How many examples Hypothesis tries: all of them, or a quarter in the quick loop of `make unit`."""

import os
from typing import Any, Final

from hypothesis import settings

QUICK: Final = "ECOMPULSE_QUICK" in os.environ
STANDARD: Final = 100
_FEWEST: Final = 5


def tried(number: int) -> int:
    """Examples that are tried where a test asks for `number`."""
    return min(number, max(_FEWEST, number // 4)) if QUICK else number


def examples(number: int, **others: Any) -> settings:
    """Settings of a property: of how many examples it is worth, and `others` of Hypothesis."""
    return settings(max_examples=tried(number), **others)
