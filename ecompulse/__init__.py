"""Real-time e-commerce jobs on Apache Beam.

`import ecompulse as eco` gives the parts to compose a job of your own; see examples/landing_pages.py. A name is
imported when it is first used. So Beam, whose import takes seconds, is imported only when a job is built.
"""

import atexit
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ecompulse.cli.launch import run as run
    from ecompulse.epochs.keyed import Keyed as Keyed
    from ecompulse.epochs.sinks import TableSpec as TableSpec
    from ecompulse.io.alerts.targets import register_alert_target as register_alert_target
    from ecompulse.io.lookups.store import register_lookup as register_lookup
    from ecompulse.io.sinks.registry import register_sink as register_sink
    from ecompulse.io.sources import register_source as register_source
    from ecompulse.io.stores import register_store as register_store
    from ecompulse.kernels.enrich.enrichment import register_step as register_step
    from ecompulse.kernels.metrics.measures.registry import register_measure as register_measure
    from ecompulse.scope import COUNTED as COUNTED
    from ecompulse.scope import JobScope as JobScope
    from ecompulse.transforms.aggregate import AggregateMetrics as AggregateMetrics
    from ecompulse.transforms.decode import event_frame as event_frame
    from ecompulse.transforms.enrich import EnrichEvents as EnrichEvents
    from ecompulse.transforms.frames import map_frames as map_frames
    from ecompulse.transforms.frames import split_frames as split_frames
    from ecompulse.transforms.frames import union as union
    from ecompulse.transforms.join import JoinEvents as JoinEvents
    from ecompulse.transforms.score import ScoreTransactions as ScoreTransactions
    from ecompulse.transforms.sessionize import SessionizeEvents as SessionizeEvents
    from ecompulse.transforms.total import TotalPerWindow as TotalPerWindow

_EXPORTS: Final = {
    "run": "cli.launch",
    "Keyed": "epochs.keyed",
    "TableSpec": "epochs.sinks",
    "TotalPerWindow": "transforms.total",
    "COUNTED": "scope",
    "JobScope": "scope",
    "AggregateMetrics": "transforms.aggregate",
    "EnrichEvents": "transforms.enrich",
    "event_frame": "transforms.decode",
    "map_frames": "transforms.frames",
    "split_frames": "transforms.frames",
    "union": "transforms.frames",
    "JoinEvents": "transforms.join",
    "ScoreTransactions": "transforms.score",
    "SessionizeEvents": "transforms.sessionize",
    "register_step": "kernels.enrich.enrichment",
    "register_measure": "kernels.metrics.measures.registry",
    "register_alert_target": "io.alerts.targets",
    "register_lookup": "io.lookups.store",
    "register_sink": "io.sinks.registry",
    "register_source": "io.sources",
    "register_store": "io.stores",
}
"""The public names, and the module that has each."""


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ecompulse' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ecompulse.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once(_number: int, _frame: object) -> None:
    """Signal handler while one of our programs is imported, until it has work that must be finished."""
    os._exit(130)


def _is_program() -> bool:
    """Whether this process was started to run one of our commands, rather than something that imports us."""
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] if "-m" in sys.orig_argv else []
    run = module[0] if module else os.path.basename(sys.argv[0])  # noqa: PTH119  # pathlib is slow to import
    return run.split(".", maxsplit=1)[0] in {"ecompulse", "pipelines"}


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if _is_program():  # the first thing that happens: Beam and Polars take seconds to import
    for _number in _SIGNALS:
        signal.signal(_number, end_at_once)
    atexit.register(_ignore)  # the last thing: Python would die of a signal while it takes itself apart
