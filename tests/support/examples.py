"""How many examples Hypothesis tries: all of them at night, a part on every push, a few in the quick loop."""

import os
from typing import Any, Final

from hypothesis import settings

NIGHT: Final = "ECOMPULSE_NIGHT" in os.environ
QUICK: Final = "ECOMPULSE_QUICK" in os.environ
STANDARD: Final = 100
_FEWEST: Final = 4


def tried(number: int) -> int:
    """Examples that are tried where a test asks for `number`."""
    part = 1 if NIGHT else 10 if QUICK else 3
    return min(number, max(_FEWEST, number // part))


def examples(number: int, **others: Any) -> settings:
    """Settings of a property: of how many examples it is worth, and `others` of Hypothesis."""
    return settings(max_examples=tried(number), **others)
