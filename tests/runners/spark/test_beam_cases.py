"""Beam's own tests of its in-process runner, on Spark: each passes or is refused by name, none is silently wrong."""

import unittest
from collections.abc import Callable

import apache_beam as beam
import pytest

from ecompulse.runners.spark import PySparkRunner, SparkSettings, Unsupported

beam_cases = pytest.importorskip("apache_beam.runners.portability.fn_api_runner.fn_runner_test")

SETTINGS = SparkSettings(master="local[2]", parallelism=2, conf={"spark.ui.enabled": "false"})

REFUSED = {
    "a splittable DoFn": {
        "test_draining_sdf_with_sdf_initiated_checkpointing",
        "test_read",
        "test_register_finalizations",
        "test_sdf",
        "test_sdf_default_truncate_when_bounded",
        "test_sdf_default_truncate_when_unbounded",
        "test_sdf_with_dofn_as_restriction_provider",
        "test_sdf_with_dofn_as_watermark_estimator",
        "test_sdf_with_sdf_initiated_checkpointing",
        "test_sdf_with_truncate",
        "test_sdf_with_watermark_tracking",
        "test_sliding_windows",
        "test_unbounded_source_read",
    },
    "side inputs": {
        "test_batch_pardo_fusion_break",
        "test_batch_to_element_pardo",
        "test_flattened_side_input",
        "test_gbk_side_input",
        "test_multimap_multiside_input",
        "test_multimap_side_input",
        "test_multimap_side_input_type_coercion",
        "test_pack_combiners",
        "test_pardo_side_input_dependencies",
        "test_pardo_side_inputs",
        "test_pardo_unfusable_side_inputs",
        "test_pardo_unfusable_side_inputs_with_separation",
        "test_pardo_windowed_side_inputs",
        "test_sdf_synthetic_source",
    },
    "user state": {
        "test_pardo_et_timer_with_no_firing",
        "test_pardo_et_timer_with_no_reset",
        "test_pardo_et_timer_with_no_reset_and_no_clear",
        "test_pardo_state_only",
        "test_pardo_state_timers",
        "test_pardo_state_timers_non_standard_coder",
        "test_pardo_timers",
        "test_windowed_pardo_state_timers",
    },
    "timers": {
        "test_pardo_dynamic_timer",
        "test_pardo_timers_clear",
    },
    "bundle finalization": {
        "test_callbacks_with_exception",
    },
}
"""Cases by what they hold that is not run; of several things, by that of the first transform by name."""

OTHERWISE = {
    "test_batch_rebatch_pardos": "a warning that is given where the functions run, which is not in this process",
    "test_sdf_with_check_done_failed": "passes with any error, so with the refusal too",
}
"""Cases that say nothing of this runner, and why."""


class Cases(beam_cases.FnApiRunnerTest):
    """The pipelines of Beam's tests, on this runner; pytest takes them from the list below, not from here."""

    __test__ = False

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


@pytest.mark.heavy("Spark starts, and its workers import Beam")
@pytest.mark.slow
@pytest.mark.night
@pytest.mark.parametrize("name", [name for name in NAMES if name not in OTHERWISE])
def test_it_passes_or_is_refused_by_name(name: str) -> None:
    found = outcome(getattr(Cases(name), name))
    held = next((what for what, names in REFUSED.items() if name in names), None)
    assert found == "passed" if held is None else found.endswith(f": {held}"), found


def test_cases_are_named_as_beam_names_them() -> None:
    named = {name for names in REFUSED.values() for name in names} | set(OTHERWISE)
    assert named <= set(NAMES)
    assert sum(map(len, REFUSED.values())) + len(OTHERWISE) == len(named), "each once"
