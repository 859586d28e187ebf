"""The promise of equal runners: pipelines of few primitives, and the same tables on Prism."""

import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as api
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from ecompulse.cli.assemble import compose
from ecompulse.cli.config import open_intake
from ecompulse.cli.settings import read_settings
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.scope import Workspace
from ecompulse.io.files import FileSource
from ecompulse.io.stores import LocalStore
from ecompulse.runners.engine import find_prism
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from pipelines import event_enrichment, session_analytics
from support.script import comparable

ALLOWED = {
    "beam:transform:impulse:v1",
    "beam:transform:pardo:v1",
    "beam:transform:group_by_key:v1",
    "beam:transform:flatten:v1",
    "beam:transform:reshuffle:v1",
}


def built(spec, *flags: str) -> beam.Pipeline:
    settings = read_settings("x", "x", spec.settings, ["--source=/nowhere/*.jsonl", *flags])
    intake = open_intake(settings.inputs, settings.lookups, settings.time)
    store = LocalStore("/nowhere")
    pipeline = beam.Pipeline()
    roles = ["events", *(role for role, _ in settings.own.further)]
    sources = [FileSource("/nowhere", number, role=role) for number, role in enumerate(roles)]
    space = Workspace(FencedStore(store), store, spec.name, 2)
    compose(pipeline, space, sources, intake, spec.make(settings, intake).build)
    return pipeline


@pytest.fixture
def updates(tmp_path) -> str:
    (tmp_path / "enrich.yaml").write_text("steps: {user: {columns: {tier: text}}}")
    return str(tmp_path / "enrich.yaml")


def leaves(pipeline: beam.Pipeline) -> set[str]:
    """URNs of the transforms that a runner has to know: those with no parts, and reshuffles as a whole."""
    transforms = pipeline.to_runner_api().components.transforms
    inside = {
        part
        for transform in transforms.values()
        if transform.spec.urn == "beam:transform:reshuffle:v1"
        for part in transform.subtransforms
    }
    return {
        transform.spec.urn
        for name, transform in transforms.items()
        if transform.spec.urn and not transform.subtransforms and name not in inside
    }


def test_enrichment_uses_five_primitives(updates):
    full = built(
        event_enrichment.SPEC, "--dedup", "--match_payments", "--user_updates=/nowhere/u.jsonl", f"--enrich={updates}"
    )
    found = leaves(full)
    assert found <= ALLOWED, found - ALLOWED
    assert "beam:transform:group_by_key:v1" in found


def test_sessions_use_five_primitives():
    assert leaves(built(session_analytics.SPEC)) <= ALLOWED


def test_no_side_inputs_state_or_timers_and_no_splittable_dofn(updates):
    for pipeline in (
        built(event_enrichment.SPEC, "--dedup", "--match_payments"),
        built(session_analytics.SPEC),
    ):
        for transform in pipeline.to_runner_api().components.transforms.values():
            if transform.spec.urn == "beam:transform:pardo:v1":
                payload = api.ParDoPayload.FromString(transform.spec.payload)
                assert not payload.side_inputs
                assert not payload.state_specs
                assert not payload.timer_family_specs
                assert not payload.restriction_coder_id


def test_enrichment_without_dedup_and_joins_does_not_shuffle_events():
    grouped = [
        transform.unique_name
        for transform in built(event_enrichment.SPEC).to_runner_api().components.transforms.values()
        if transform.spec.urn == "beam:transform:group_by_key:v1"
    ]
    events = [name for name in grouped if "Reshuffle" not in name and "Spread" not in name]
    assert sorted(events) == ["Gather facts", "TotalQuality/GroupByKey"], "only counts and facts are grouped"


def tables(lake: Path, *names: str) -> dict[str, pl.DataFrame]:
    return {name: comparable(pl.from_arrow(DeltaTable(str(lake / name)).to_pyarrow_table())) for name in names}


@pytest.mark.night
@pytest.mark.slow
def test_prism_gives_the_same_tables(tmp_path):
    try:
        find_prism()
    except UserError as error:
        pytest.skip(str(error))
    write(simulate(Settings(seed=3, events=4000)), tmp_path / "shop")
    found = {}
    for runner in ("DirectRunner", "PrismRunner"):
        out = tmp_path / runner
        done = subprocess.run(
            [
                sys.executable, "-m", "pipelines.event_enrichment", f"--source={tmp_path / 'shop' / 'events'}",
                "--dedup", "--match_payments", "--drain", f"--runner={runner}", f"--lake={out / 'lake'}",
                f"--checkpoint={out / 'checkpoint'}", "--warehouse=none", "--max_records_per_epoch=1500",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found[runner] = tables(out / "lake", "enriched_events", "dead_letters", "data_quality")
    for name, expected in found["DirectRunner"].items():
        assert expected.height
        assert_frame_equal(found["PrismRunner"][name], expected)


def test_a_missing_prism_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match="go install"):
        find_prism()
