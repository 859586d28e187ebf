"""The tables of the four jobs as they are composed with all their flags: what documents and dbt are made of."""

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import polars as pl
import yaml

from ecompulse.cli.__main__ import JOBS
from ecompulse.cli.assemble import compose
from ecompulse.cli.config import open_intake
from ecompulse.cli.settings import read_settings
from ecompulse.cli.sources import open_sources
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.scope import Workspace
from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.stores import LocalStore
from ecompulse.runners.engine import new_pipeline

_STREAMS: Final = ("events", "users", "products", "labels")
_FURTHER: Final = {
    "event_enrichment": ("--user_updates={0}/users.jsonl", "--product_updates={0}/products.jsonl", "--match_payments"),
    "anomaly_detection": ("--labels={0}/labels.jsonl",),
}
_ENRICH: Final = {"steps": {step: {"columns": {"name": "text"}} for step in ("user", "product")}}


@dataclass(frozen=True)
class Shipped:
    """A table of the shipped jobs.

    Attributes:
        spec: as the first of its jobs writes it, with the columns that only others have at its end.
        jobs: that write it.
    """

    spec: TableSpec
    jobs: tuple[str, ...]


def shipped_tables() -> dict[str, Shipped]:
    """Every table of the four jobs, by name, from the jobs' own composition; nothing is run."""
    found: dict[str, Shipped] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in _STREAMS:
            Path(folder, f"{name}.jsonl").touch()
        Path(folder, "enrich.yaml").write_text(yaml.safe_dump(_ENRICH))
        for job in JOBS:
            flags = [f"--source={folder}/events.jsonl", f"--enrich={folder}/enrich.yaml", "--dedup"]
            flags += [text.format(folder) for text in _FURTHER.get(job, ())]
            for spec in _tables_of(job, flags, folder):
                found[spec.name] = _with(found.get(spec.name), spec, job)
    return found


def _tables_of(job: str, flags: Sequence[str], folder: str) -> Sequence[TableSpec]:
    spec = importlib.import_module(f"pipelines.{job}").SPEC
    settings = read_settings(job, spec.summary, spec.settings, flags)
    intake = open_intake(settings.inputs, settings.lookups, settings.time)
    with redirect_stderr(StringIO()):  # what a job says of its flags
        build = spec.make(settings, intake).build
    store = LocalStore(folder)
    space = Workspace(FencedStore(store), store, job, 1, None)
    return compose(new_pipeline("LocalRunner", (), None), space, open_sources(settings), intake, build).tables


def _with(known: Shipped | None, spec: TableSpec, job: str) -> Shipped:
    if known is None:
        return Shipped(spec, (job,))
    schema = pl.Schema({**known.spec.schema, **spec.schema})
    return Shipped(TableSpec(**{**vars(known.spec), "schema": schema}), (*known.jobs, job))


def shared_of(tables: Mapping[str, Shipped]) -> frozenset[str]:
    """Names of the tables that several jobs write."""
    return frozenset(name for name, each in tables.items() if len(each.jobs) > 1)
