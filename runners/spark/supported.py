"""What this runner runs; everything else is refused, by name, before anything is started."""

from collections.abc import Iterator
from typing import Any, Final

from apache_beam.portability.api import beam_runner_api_pb2 as api

from ecompulse.runners.spark.beam_internals import primitives

_PRIMITIVES: Final = frozenset(
    urn.urn
    for urn in (
        primitives.IMPULSE,
        primitives.PAR_DO,
        primitives.FLATTEN,
        primitives.GROUP_BY_KEY,
        primitives.ASSIGN_WINDOWS,
    )
)


class Unsupported(NotImplementedError):  # noqa: N818  # reads as what it is: an unsupported pipeline
    """The pipeline holds something that the runner does not run; the text names the transform and what it is."""


def require_supported(pipeline: Any) -> None:
    """Raise Unsupported for a pipeline (proto) that holds anything but what is run."""
    for refusal in refusals(pipeline):
        raise Unsupported(f"PySparkRunner: {refusal}")


def refusals(pipeline: Any) -> Iterator[str]:
    """What of a pipeline (proto) is not run, a line each, by name of the transform: its name and what it has."""
    components = pipeline.components
    endless = {name for name, found in components.pcollections.items() if found.is_bounded == api.IsBounded.UNBOUNDED}
    for transform in sorted(components.transforms.values(), key=lambda found: str(found.unique_name)):
        inputs, outputs = set(transform.inputs.values()), set(transform.outputs.values())
        if transform.subtransforms or outputs <= inputs:
            continue  # its steps are looked at, or it has none
        if transform.spec.urn == primitives.PAR_DO.urn:
            yield from (f"{transform.unique_name}: {found}" for found in _of_pardo(transform))
        elif transform.spec.urn not in _PRIMITIVES:
            yield f"{transform.unique_name}: {transform.spec.urn or 'a transform without steps'}"
        if outputs & endless and not inputs & endless:
            yield f"{transform.unique_name}: an unbounded source"


def _of_pardo(transform: Any) -> Iterator[str]:
    payload = api.ParDoPayload.FromString(transform.spec.payload)
    found = {
        "side inputs": payload.side_inputs,
        "user state": payload.state_specs,
        "timers": payload.timer_family_specs,
        "a splittable DoFn": payload.restriction_coder_id,
        "bundle finalization": payload.requests_finalization,
        "time-sorted input": payload.requires_time_sorted_input,
        "stable input": payload.requires_stable_input,
    }
    yield from (name for name, present in found.items() if present)
