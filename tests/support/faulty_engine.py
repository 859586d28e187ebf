"""An engine that loses or repeats a bundle, or loses one of its outputs, and reports success."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager

LOST, REPEATED, HALF_LOST = "lost", "repeated", "half lost"
FAULTS = (LOST, REPEATED, HALF_LOST)


@dataclass
class Engine:
    """What happened: how many bundles there were, and whether one was tampered with."""

    bundles: int = 0
    tampered: bool = False


@contextmanager
def faulty(fault: str, at: int) -> Iterator[Engine]:
    """Beam's in-process runner, with a fault in the bundle number `at`, from 0; later bundles are whole."""
    engine, process = Engine(), BundleManager.process_bundle

    def tampered(self: Any, inputs: Any, outputs: Any, *rest: Any, **more: Any) -> Any:
        number, engine.bundles = engine.bundles, engine.bundles + 1
        if number != at or (fault == HALF_LOST and len(outputs) < 2):
            return process(self, inputs, outputs, *rest, **more)
        engine.tampered = True
        if fault == LOST:
            return process(self, inputs, outputs, *rest, **{**more, "dry_run": True})
        if fault == REPEATED:
            process(self, inputs, outputs, *rest, **more)
            return process(self, inputs, outputs, *rest, **more)
        lost = sorted(outputs)[at % len(outputs)]
        return process(self, inputs, {**outputs, lost: b"materialize:lost"}, *rest, **more)

    with mock.patch.object(BundleManager, "process_bundle", tampered):
        yield engine
