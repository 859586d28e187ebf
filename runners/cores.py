"""How many processor cores this process may use."""

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Those that it is bound to, and no more than its container's limit, rounded up; at least 1.

    `os.cpu_count` tells those of the machine, which for a pod with a limit of two may be a hundred.

    Args:
        cgroups: where the control groups of the system are mounted.
        own: the file that says in which of them this process is.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(math.ceil(limit) for limit in _limits(cgroups, own))]))


def _limits(cgroups: Path, own: Path) -> list[float]:
    """Limits of the process's group and of all above it, in cores; of version 1 and 2."""
    limits = []
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        # Inside a container the path may be the host's: its own group is the root there.
        folders = [root.joinpath(*Path(path).parts[1:depth]) for depth in range(1, len(Path(path).parts) + 1)]
        limits += [limit for folder in folders if (limit := _limit(folder)) is not None]
    return limits


def _limit(folder: Path) -> float | None:
    """Of one group; None without a limit."""
    quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    if not quota:
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None  # "max", or no such file


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
