"""The spark overlay's own command and config map, through a real API server, its controllers and a node of processes:
equal tables while pods are deleted; an upgrade, a rollback and the disaster exercise of the docs lose nothing.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal
from reliability.spark_chaos import tables

from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from services.kubelet import Kubelet
from services.kubernetes import ControlPlane
from support.deployed import MANIFESTS, NAMESPACE, Deployed, overlay
from support.image import Builder, Volume, in_container
from support.numbered import Count, Numbered, sequences
from support.process import wait_until, write_lines

pytestmark = [pytest.mark.night, pytest.mark.slow, pytest.mark.heavy("Spark starts in pods, several times")]

USER = 10001
DOCS = Path(__file__).parents[2] / "docs" / "deployment.md"
PLACES = {
    "source": "/data/events", "checkpoint": "/data/checkpoint", "checkpoint_backup": "/data/backup",
    "lake": "/data/lake", "shared_filesystem": True, "num_shards": 2,
}  # fmt: skip

Deploy = Callable[[str], Deployed]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The shared volume."""
    folder = tmp_path / "data"
    (folder / "events").mkdir(parents=True)
    given(folder)
    return folder


def given(folder: Path) -> None:
    """To the user of the images."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER)


@pytest.fixture
def deploy(control_plane: ControlPlane, images: Builder, data: Path, tmp_path: Path) -> Iterator[Deploy]:
    """A node, and a job on it."""
    kinds = {"ecompulse": images.stages["slim"], "ecompulse-spark": images.stages["spark"]}
    node = Kubelet(control_plane, NAMESPACE, tmp_path / "node", kinds, {"ecompulse-data": data})

    def start(job: str) -> Deployed:
        node.start()
        return Deployed(control_plane, node, job)

    yield start
    node.stop()
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    for pod in control_plane.read("pods", "-n", NAMESPACE)["items"]:  # no node ends them any more
        control_plane.kubectl("delete", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--grace-period=0", "--force")
    control_plane.kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=60s", check=False)


def until(deployed: Deployed, condition: Callable[[], Any]) -> None:
    try:
        wait_until(condition)
    except AssertionError:
        raise AssertionError(deployed.said()) from None


def epochs(data: Path) -> int:
    """Committed so far."""
    return max((int(re.sub(r"\D", "", path.stem) or 0) for path in data.glob("checkpoint/commits/*")), default=0)


@pytest.mark.parametrize("job", ["event_enrichment", "session_analytics"])
def test_tables_are_equal_though_an_executor_and_the_driver_are_deleted(
    deploy: Deploy, data: Path, tmp_path: Path, images: Builder, job: str
) -> None:
    simulate_into(tmp_path / "shop")
    for path in sorted((tmp_path / "shop" / "events").iterdir()):
        shutil.copy(path, data / "events")
    given(data)
    ends = {"trigger": "available-now", "drain": True, "max_records_per_epoch": 250}
    deployed = deploy(job)
    deployed.apply(overlay(tmp_path / "overlay", job, {**PLACES, **ends}))

    until(deployed, lambda: epochs(data) >= 1 and deployed.executors())
    victim = deployed.executors()[0]
    first = deployed.pod(deployed.driver)["metadata"]["uid"]
    deployed.plane.kubectl("delete", "pod", victim, "-n", NAMESPACE, "--grace-period=0", "--force")
    until(deployed, lambda: epochs(data) >= 2)
    deployed.plane.kubectl("delete", "pod", deployed.driver, "-n", NAMESPACE, "--grace-period=0", "--force")
    until(deployed, lambda: deployed.pod(deployed.driver).get("metadata", {}).get("uid", first) != first)
    until(deployed, lambda: f"{deployed.driver} ended with status 0" in deployed.said())

    flags = ["--source=/data/events", "--lake=/data/wanted", "--checkpoint=/data/undisturbed", "--drain"]
    alone = in_container(
        images.stages["slim"], tmp_path / "alone", job, *flags, "--warehouse=none", volumes=[Volume(data, "/data")]
    )
    assert alone.returncode == 0, alone.stderr
    wanted, found = tables(data / "wanted"), tables(data / "lake")
    assert wanted.keys() == found.keys()
    for name, table in wanted.items():
        assert_frame_equal(found[name], table)


def test_the_dev_overlay_runs_a_shop_and_a_job_in_one_pod(deploy: Deploy, tmp_path: Path) -> None:
    deployed = deploy("event_enrichment")
    deployed.apply(MANIFESTS / "overlays" / "dev")
    wait = ["rollout", "status", "deploy/event-enrichment-job", "-n", NAMESPACE, "--timeout=240s"]
    done = deployed.plane.kubectl(*wait, check=False)
    assert done.returncode == 0, done.stderr + deployed.said()
    [lake] = (tmp_path / "node").glob("event-enrichment-job-*/volumes/data/lake")
    assert DeltaTable(str(lake / "enriched_events")).to_pyarrow_table().num_rows


def simulate_into(folder: Path) -> None:
    """A small shop."""
    write(simulate(Settings(events=2_000)), folder)


class Sequence:
    """Files of a numbered sequence, and what the lake has of it."""

    def __init__(self, data: Path) -> None:
        self.data, self.numbered, self.files = data, Numbered(keys=7), 0

    def more(self, count: int = 150) -> None:
        """One file."""
        self.files += 1
        lines = [line.decode() for _, line in self.numbered.take(count)]
        given(write_lines(self.data / "events" / f"{self.files:03d}.jsonl", lines).parent)

    def count(self) -> Count:
        """Of the lake."""
        if not (self.data / "lake" / "enriched_events" / "_delta_log").exists():
            return Count.of({}, self.numbered.wanted())
        frame = pl.from_arrow(DeltaTable(str(self.data / "lake" / "enriched_events")).to_pyarrow_table())
        assert isinstance(frame, pl.DataFrame)
        return Count.of(sequences(frame.select("user_id", "properties").iter_rows(named=True)), self.numbered.wanted())

    def whole(self) -> bool:
        """Whether every event is there; a doubled one is never right."""
        found = self.count()
        assert not found.doubled
        assert not found.strange
        return not found.lost


def documented(title: str) -> list[list[str]]:
    """The commands below a heading of docs/deployment.md, as a shell would part them."""
    section = DOCS.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    return [shlex.split(line, comments=True) for line in blocks.replace("\\\n", " ").splitlines() if line.strip()]


def test_upgrade_rollback_and_disaster_lose_nothing(
    deploy: Deploy, data: Path, tmp_path: Path, images: Builder
) -> None:
    sequence, deployed = Sequence(data), deploy("event_enrichment")
    flags = {**PLACES, "trigger": "2s"}

    def kubectl(told: list[str]) -> "subprocess.CompletedProcess[str]":
        assert told[0] == "kubectl"
        return deployed.plane.kubectl(*told[1:])

    def rolled_out() -> None:
        wait = ["rollout", "status", "deploy/event-enrichment-job", "-n", NAMESPACE, "--timeout=240s"]
        done = deployed.plane.kubectl(*wait, check=False)
        assert done.returncode == 0, done.stderr + deployed.said()

    sequence.more()
    deployed.apply(overlay(tmp_path / "overlay", "event_enrichment", flags))
    rolled_out()
    assert sequence.count().lost == 0  # ready means: the first epoch is committed
    first = deployed.pod(deployed.driver)["metadata"]["uid"]

    sequence.more()
    deployed.apply(overlay(tmp_path / "overlay", "event_enrichment", flags, tag="0.2.0"))
    rolled_out()
    second = deployed.pod(deployed.driver)
    assert second["metadata"]["uid"] != first
    assert second["spec"]["containers"][0]["image"].endswith(":0.2.0")
    sequence.more()
    until(deployed, sequence.whole)

    [undo, status] = documented("Rollback of the program")
    kubectl(undo)
    kubectl(status)
    assert deployed.pod(deployed.driver)["spec"]["containers"][0]["image"].endswith(":0.1.0")
    sequence.more()
    until(deployed, sequence.whole)

    stop, gone, restore, _edit, start = documented("Disaster recovery")
    kubectl(stop)
    shutil.rmtree(data / "checkpoint")
    kubectl(gone)
    sequence.more()
    local = [text.replace("s3://shop-backup/checkpoints/event_enrichment", "/data/backup") for text in restore[1:]]
    local = [text.replace("s3://shop/checkpoints/event_enrichment-2", "/data/checkpoint-2") for text in local]
    done = in_container(images.stages["slim"], tmp_path / "tool", *local, volumes=[Volume(data, "/data")])
    assert done.returncode == 0, done.stderr
    moved = {**flags, "checkpoint": "/data/checkpoint-2"}
    assert start[:3] == ["kubectl", "apply", "-k"]
    deployed.apply(overlay(tmp_path / "overlay", "event_enrichment", moved))
    until(deployed, sequence.whole)
    assert sequence.count().rows == sequence.numbered.sent
