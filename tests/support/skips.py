"""Which tests may be skipped, and why; in CI any other skip is a failure."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest

REQUIRED: Final = "ECOMPULSE_REQUIRE_SERVICES"
"""Environment variable: when set to 1, a server that cannot be had fails its tests, and an unknown skip the run."""

MAY_BE: Final = {
    "real data, which licences keep out of the project": r"shared.data|rees46|fraud.* in |is absent|NAB",
    "Prism, which is built with Go": r"prism",
    "a step that is not reached so often": r"not reached so often",
    "a case of Beam's own that Beam skips": r"/test_beam_cases\.py",
    "a control plane of Kubernetes, which `make kube` builds, or kubectl": r"Kubernetes: there is no|no kubectl",
    "images without a container engine, which need root": r"images: ",
    "a schema registry, 140 MB of Java": r"a registry: ",
    "a browser, with Playwright and axe-core, which the night installs": r"browser: ",
    "the native pass over JSON rows, which `make native` builds with cargo": r"native: ",
    "a machine with one core": r"cores: there is one",
    "no certificates on this machine": r"certificates of its own",
}
"""Reason as it is shown, to a pattern of what names such a test, or of what it says."""


def skipped(reports: Sequence[pytest.TestReport]) -> tuple[Counter[str], list[str]]:
    """Tests by reason, and those that have another one: their names and what they say."""
    table: Counter[str] = Counter()
    others = []
    for report in reports:
        line = f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
        reason = next((reason for reason, pattern in MAY_BE.items() if re.search(pattern, line, re.IGNORECASE)), None)
        if reason is None:
            others.append(line)
        else:
            table[reason] += 1
    return table, others
