"""No epoch is sealed whose run does not add up."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from unittest import mock

import apache_beam as beam
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.audit import misfits
from ecompulse.epochs.errors import JobError
from ecompulse.epochs.fencing import FencedStore
from ecompulse.epochs.keyed import Keyed
from ecompulse.epochs.manifest import Manifest
from ecompulse.epochs.plan import Plan
from ecompulse.epochs.protocols import EVENTS
from ecompulse.epochs.scope import Scope, Workspace
from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.files import FileSource
from ecompulse.io.stores import LocalStore
from support.faulty_engine import FAULTS, faulty
from support.jobs import JOBS, make_shop
from support.jobs import run as run_job
from support.marks import nightly
from support.script import Script
from support.toy import ROWS, TOTALS, ToyJob, decode, rows

pytestmark = pytest.mark.slow  # whole jobs

INFORMATION = {"folder", "lookups", "models"}
"""Facts that nothing is sealed by."""


def script(root: Path) -> Script:
    return Script(ToyJob(), root).add_data(rows(60)).add_data(rows(40, seed=2))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Plan, facts and graph of a run."""
    facts, take = [], Manifest.add

    def remember(manifest, fact):
        facts.append(fact)
        take(manifest, fact)

    root = tmp_path_factory.mktemp("run")
    driver = script(root).driver()
    with mock.patch.object(Manifest, "add", remember):
        driver._publisher.open()
        driver._epoch(driver._position()[0])
    [plan] = (root / "checkpoint" / "runs").glob("*/plan.json")
    return Plan.load(plan.read_bytes()), json.loads(json.dumps(facts)), driver.graph


def told(facts) -> Manifest:
    manifest = Manifest()
    for fact in facts:
        manifest.add(json.loads(json.dumps(fact)))
    return manifest


def heavy(facts) -> list[int]:
    """Facts that say something of rows, files or state."""
    return [number for number, fact in enumerate(facts) if not INFORMATION & fact.keys()]


def test_a_whole_run_fits(run):
    plan, facts, graph = run
    assert misfits(plan, told(facts), graph) == []
    assert {"node", "read", "table", "operator"} <= {key for fact in facts for key in fact}


def test_a_manifest_that_lacks_a_fact_does_not(run):
    plan, facts, graph = run
    for number in heavy(facts):
        lacking = [*facts[:number], *facts[number + 1 :]]
        assert misfits(plan, told(lacking), graph), facts[number]


def test_a_manifest_that_repeats_a_fact_does_not(run):
    plan, facts, graph = run
    for number in heavy(facts):
        assert misfits(plan, told([*facts, facts[number]]), graph), facts[number]


def test_what_does_not_fit_is_named(run):
    plan, facts, graph = run
    kinds = {"read": "was told 0 times", "table": "its files hold", "operator": "of count was told 0 times"}
    for key, text in kinds.items():
        number = next(number for number, fact in enumerate(facts) if key in fact)
        lines = misfits(plan, told([*facts[:number], *facts[number + 1 :]]), graph)
        assert any(text in line for line in lines), lines


def test_rows_of_a_split_are_those_that_were_planned(run):
    plan, facts, graph = run
    fewer = [{**fact, "rows": fact["rows"] - 1} if "read" in fact else fact for fact in facts]
    assert any("rows, and" in line for line in misfits(plan, told(fewer), graph))


@pytest.mark.heavy("Beam's own runner runs the job once for each of its bundles")
@pytest.mark.parametrize(
    ("fault", "every"), nightly(itertools.product(FAULTS, (1, 4)), [*itertools.product(FAULTS, (4,))])
)
def test_an_engine_that_loses_or_repeats_a_bundle_changes_nothing(tmp_path, fault, every):
    whole = script(tmp_path / "whole").run()
    wanted = {table: whole.table(table) for table in ("rows", "totals")}
    at, tampered, retried = 0, 0, 0
    while True:
        one = replace(script(tmp_path / str(at)), runner="DirectRunner")
        with faulty(fault, at) as engine:
            one.run()
        if engine.bundles <= at:
            break
        for table, frame in wanted.items():
            assert_frame_equal(one.table(table), frame)
        tampered += engine.tampered
        retried += any(progress["retries"]["run"] for progress in one.progress)
        at += every
    assert tampered >= 2
    assert retried >= tampered / 2, "most bundles hold something"


@pytest.mark.night
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("job", JOBS)
def test_a_whole_job_on_an_engine_that_loses_or_repeats_bundles(tmp_path, job, seed):
    """Faults in several runs: each is planned anew, and the tables are those of a whole engine."""
    shop, chance = make_shop(tmp_path), random.Random(seed)
    wanted = run_job(job, shop, tmp_path / "whole")
    with faulty(FAULTS[seed % len(FAULTS)], chance.randrange(30)) as engine:
        found = run_job(job, shop, tmp_path / "faulty", "--runner=DirectRunner")
    assert engine.tampered
    for table, frame in wanted.items():
        assert_frame_equal(found[table], frame)


def test_an_engine_that_always_loses_something_ends_in_a_line(tmp_path):
    one = script(tmp_path)
    lossy = mock.patch.object(Manifest, "_add_node")
    with lossy, pytest.raises(JobError, match=r"^epoch 1 was not sealed, its run does not add up: .*rows came"):
        one.run()
    assert not (tmp_path / "checkpoint" / "seals").exists()


def test_rows_that_go_through_a_transform_of_beams_are_not_followed_and_all_else_is(tmp_path):
    """A job of somebody's own may use any transform; what it accounts for must be counted."""

    class OwnJob(ToyJob):
        def build(self, scope: Scope) -> None:
            events = scope.read(decode)[EVENTS]
            same = events | beam.Map(lambda frame: frame).with_output_types(pl.DataFrame)
            scope.write(TableSpec("rows", ROWS, "event_time"), same)
            scope.write(TableSpec("totals", TOTALS, "at"), (events | Keyed(self.kernel))["totals"])

    one = Script(OwnJob(), tmp_path).add_data(rows(60))
    links = {link.node for link in one.driver().graph.links}
    assert "Write totals" in links
    assert "Write rows" not in links
    assert one.run().table("rows").height == 60


def test_an_account_of_rows_that_nobody_counts_is_refused():
    space = Workspace(FencedStore(LocalStore("/x")), LocalStore("/x"), "toy", 2)
    scope = Scope(beam.Pipeline(), space, [(EVENTS, FileSource("/x", 0).reader())])
    scope.account("events", scope.read(decode)[EVENTS] | "Own" >> beam.Map(lambda frame: frame))
    with pytest.raises(ValueError, match=r"^Own.*: counts no rows; use map_frames"):
        scope.finish()
