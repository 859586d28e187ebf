"""The shipped rules and routes of Prometheus in a hurry: a minute of theirs is a second."""

import re
from pathlib import Path
from typing import Final

_CONFIGS: Final = Path(__file__).parents[2] / "runner_configs" / "prometheus"
_DURATION: Final = re.compile(r"(?<=\[|\s)(\d+)([mhd])(?=[\],}\s]|$)", re.MULTILINE)
_SECONDS: Final = {"m": 1, "h": 60, "d": 1440}


def hurried_rules(folder: Path) -> Path:
    """A file with the shipped rules, each duration a sixtieth: `for`, and the windows of expressions.

    Limits of expressions stay as they are: shares, counts, and ages in seconds.
    """
    text = (_CONFIGS / "ecompulse.rules.yaml").read_text()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "hurried.rules.yaml"
    path.write_text(_DURATION.sub(lambda part: f"{int(part[1]) * _SECONDS[part[2]]}s", text))
    return path


def hurried_routes(hook: str) -> str:
    """The shipped routes of Alertmanager, which tell a webhook at once."""
    text = (_CONFIGS / "alertmanager.yaml").read_text()
    for shipped, here in (
        ("http://127.0.0.1:9080/", hook), ("group_wait: 10s", "group_wait: 0s"),
        ("group_interval: 1m", "group_interval: 1s"),
    ):  # fmt: skip
        assert shipped in text
        text = text.replace(shipped, here)
    return text
