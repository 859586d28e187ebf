"""Beam's own tests of its in-process runner, on Spark: each passes or is refused by name, none is silently wrong."""

import unittest
from collections.abc import Callable

import apache_beam as beam
import pytest

from ecompulse.runners.spark import PySparkRunner, SparkSettings, Unsupported

beam_cases = pytest.importorskip("apache_beam.runners.portability.fn_api_runner.fn_runner_test")

SETTINGS = SparkSettings(master="local[2]", parallelism=2, conf={"spark.ui.enabled": "false"})

OF_BEAMS_OWN_RUNNER: dict[str, str] = {}
"""Cases that look into Beam's runner itself, and how."""


class Cases(beam_cases.FnApiRunnerTest):
    """The pipelines of Beam's tests, on this runner."""

    def create_pipeline(self, is_drain: bool = False) -> beam.Pipeline:
        """What each case makes its pipeline with."""
        return beam.Pipeline(runner=PySparkRunner(SETTINGS))


NAMES = unittest.TestLoader().getTestCaseNames(Cases)


def outcome(case: Callable[[], None]) -> str:
    """`passed`, or `refused: ...`; whatever else a case raises is raised."""
    try:
        case()
    except Unsupported as refusal:
        return f"refused: {refusal}"
    except unittest.SkipTest as reason:
        pytest.skip(str(reason))
    return "passed"
