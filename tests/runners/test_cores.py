"""Cores that a container may use, however many its machine has."""

import os

import pytest

from ecompulse.cli import assemble
from ecompulse.runners import cores as cores_
from ecompulse.runners.cores import cores
from pipelines import event_enrichment
from support.process import events, write_lines

CASES = {
    "version 2, in a container": ("0::/\n", {"cpu.max": "150000 100000"}, 2),
    "version 2, no limit": ("0::/\n", {"cpu.max": "max 100000"}, 16),
    "version 2, a group above has less": (
        "0::/pods/one\n", {"pods/cpu.max": "300000 100000", "pods/one/cpu.max": "400000 100000"}, 3,
    ),
    "version 1": ("4:cpu,cpuacct:/pod\n3:memory:/pod\n", {
        "cpu,cpuacct/pod/cpu.cfs_quota_us": "50000", "cpu,cpuacct/pod/cpu.cfs_period_us": "100000",
    }, 1),
    "version 1, a path of the host": ("4:cpu:/docker/abc\n", {
        "cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000",
    }, 4),
    "version 1, no limit": ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
    "what nobody writes": ("0::/\n", {"cpu.max": "two 0"}, 16),
    "none": ("", {}, 16),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_containers_limit_counts(tmp_path, monkeypatch, case):
    own, files, expected = CASES[case]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)), raising=False)
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert cores(tmp_path / "cgroup", tmp_path / "own") == expected


def test_there_is_one_at_least_on_this_machine():
    assert 1 <= cores() <= (os.cpu_count() or 1)
    assert cores(cores_._CGROUPS / "not there") >= 1


@pytest.mark.slow
def test_a_machine_with_other_cores_goes_on_with_a_checkpoint(tmp_path, monkeypatch):
    source = write_lines(tmp_path / "in" / "1.jsonl", events(20)).parent
    flags = [f"--source={source}", f"--checkpoint={tmp_path / 'c'}", f"--lake={tmp_path / 'lake'}", "--dedup"]
    flags += ["--warehouse=none", "--progress=none"]
    for number, there in enumerate((2, 4)):
        monkeypatch.setattr(assemble, "cores", lambda there=there: there)
        write_lines(tmp_path / "in" / f"{number + 2}.jsonl", events(20))
        assert event_enrichment.main(flags) == 0
    assert {path.name for path in (tmp_path / "c" / "state" / "dedup").iterdir()} <= {"00000", "00001"}
