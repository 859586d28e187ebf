"""`submit`: what it prints runs as it stands; what it refuses; what the owner of a driver pod does with it."""

import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecompulse.cli import owned
from ecompulse.cli.owned import Owner
from ecompulse.cli.submission import Submission
from ecompulse.epochs.errors import JobError
from support.process import command, events, write_lines

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "runner_configs"


def submit(*arguments: str) -> tuple[int, str, str]:
    return command("ecompulse.cli.submit", *arguments)


MAIN = str(ROOT / "pipelines" / "__main__.py")


@pytest.mark.parametrize(
    ("config", "flags", "printed"),
    [
        ("local.yaml", [], f"{sys.executable} -m pipelines session_analytics --config={CONFIGS}/local.yaml\n"),
        (
            "flink.yaml", ["--master=jobs:8081", "--", "--trigger=1m"],
            ("docker run --rm --net=host apache/beam_flink1.19_job_server:2.77.0 --flink-master=jobs:8081 &\n"
            f"{sys.executable} -m pipelines session_analytics --config={CONFIGS}/flink.yaml --trigger=1m\n"),
        ),
        ("spark.yaml", [], f"spark-submit {MAIN} session_analytics --config={CONFIGS}/spark.yaml\n"),
        (
            "spark.yaml",
            ["--master=spark://h:7077", f"--properties={CONFIGS}/spark-defaults.conf", "--conf=spark.executor.cores=2",
             "--", "--source=a b"],
            (f"spark-submit --master spark://h:7077 --properties-file {CONFIGS}/spark-defaults.conf "
            f"--conf spark.executor.cores=2 {MAIN} session_analytics --config={CONFIGS}/spark.yaml '--source=a b'\n"),
        ),
        (
            "spark.yaml", ["--master=k8s://https://h:6443", "--image=r/ecompulse-spark:0.1.0"],
            ("spark-submit --master k8s://https://h:6443 --deploy-mode cluster --name session-analytics "
            "--conf spark.kubernetes.container.image=r/ecompulse-spark:0.1.0 local:///opt/ecompulse/main.py "
            f"session_analytics --config={CONFIGS}/spark.yaml\n"),
        ),
    ],
)  # fmt: skip
def test_it_prints_the_command_of_the_engine(config: str, flags: list[str], printed: str) -> None:
    status, out, said = submit("session_analytics", f"--config={CONFIGS / config}", *flags)
    assert (status, said) == (0, "")
    assert out == printed


@pytest.mark.slow
def test_what_it_prints_runs_as_it_stands(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "a.jsonl", events(50))
    settings = {name: str(tmp_path / name) for name in ("checkpoint", "lake")}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**settings, "warehouse": "none", "progress": "none"}))
    status, line, _ = submit(
        "event_enrichment", f"--config={tmp_path / 'job.yaml'}", "--", f"--source={tmp_path / 'in'}"
    )
    assert status == 0
    assert shlex.split(line)[:3] == [sys.executable, "-m", "pipelines"]
    done = command("pipelines.event_enrichment", *shlex.split(line)[4:])
    assert done[0] == 0, done[2]
    assert (tmp_path / "lake" / "enriched_events").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["event_enrichment"], "the following arguments are required: --config"),
        (["enrichment", "--config=x"], "invalid choice: 'enrichment'"),
        (["event_enrichment", "--config=nowhere.yaml"], "--config: nowhere.yaml: No such file"),
        (["event_enrichment", "--config={local}", "--conf=spark.a=b"], "--engine: local takes no settings of Spark"),
        (["event_enrichment", "--config={local}", "--master=spark://h"], "--master: a job in this process has none"),
        (["event_enrichment", "--config={spark}", "--conf=cores"], "--conf: wants spark.KEY=VALUE, not 'cores'"),
        (["event_enrichment", "--config={spark}", "--properties=x.conf"], "--properties: x.conf: No such file"),
        (["event_enrichment", "--config={spark}", "--properties={local}"], "wants `spark.key value` lines"),
        (["event_enrichment", "--config={flink}", "--run"], "--run: a job server goes on until it is stopped"),
        (["event_enrichment", "--config={spark}", "--own"], "this is no pod of Kubernetes"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], said: str) -> None:
    named = {path.stem: str(path) for path in CONFIGS.glob("*.yaml")}
    status, _, told = submit(*[text.format(**named) for text in arguments])
    assert status == 2
    assert said in told
    assert told.count("\n") == 1


def test_run_takes_the_place_of_the_printed_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda program, line: ran.append([program, *line]) or 0)
    arguments = ["session_analytics", f"--config={CONFIGS}/local.yaml"]
    _, printed, _ = submit(*arguments)
    assert submit(*arguments, "--run")[0] == 0
    assert ran == [[sys.executable, *shlex.split(printed)]]
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, said = submit("session_analytics", f"--config={CONFIGS}/spark.yaml", "--run")
    assert (status, said) == (2, "submit: --run: there is no spark-submit on the PATH\n")


def pod(phase: str, code: int | None = None, *, ready: bool = False, **meta: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code}} if code is not None else {"running": {}}
    status = {
        "phase": phase, "containerStatuses": [{"state": state}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }  # fmt: skip
    return {"metadata": meta, "status": status}


class Script:
    """Answers of an API server to one question after the other; the last one stays. None: no such pod."""

    url, namespace = "https://10.0.0.1:443", "shop"

    def __init__(self, *answers: Any) -> None:
        self.answers, self.deleted = list(answers), 0

    def get(self, name: str) -> dict[str, Any] | None:
        assert name == "event-enrichment-driver"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert answer is None or isinstance(answer, dict)
        return answer

    def delete(self, name: str) -> None:
        assert name == "event-enrichment-driver"
        self.deleted += 1


MINE = {
    "metadata": {"name": "owner-1", "uid": "u-1"},
    "spec": {
        "serviceAccountName": "driver",
        "containers": [{"image": "r/ecompulse-spark:0.1.0"}],
        "volumes": [{"name": "config", "configMap": {"name": "config-h4sh"}}, {"name": "tmp2", "emptyDir": {}}],
    },
}


@pytest.fixture
def owner(tmp_path: Path) -> Callable[..., Owner]:
    template = tmp_path / "driver-template.yaml"
    template.write_text(
        "kind: Pod\nspec:\n  volumes:\n  - {name: config, configMap: {name: config}}\n  - {name: tmp, emptyDir: {}}\n"
    )
    (tmp_path / "spark.conf").write_text(f"spark.kubernetes.driver.podTemplateFile {template}\n")
    wanted = Submission("event_enrichment", "spark", "/c.yaml", properties=str(tmp_path / "spark.conf"), conf={})

    def make(pods: Any, pause: Callable[[float], object] = lambda _seconds: None) -> Owner:
        submitted: list[list[str]] = []
        made = Owner(pods, MINE, wanted, None, tmp_path, threading.Event(), submitted.append, pause)
        made.submitted = submitted  # type: ignore[attr-defined]
        return made

    return make


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (pod("Succeeded", 0), 0), (pod("Failed", 1), 1), (pod("Failed", 2), 2), (pod("Failed", 130), 130),
        (pod("Failed"), 1), (None, 1),
    ],
)  # fmt: skip
def test_an_owner_ends_as_its_driver(owner: Callable[..., Owner], last: Any, status: int) -> None:
    pods = Script(None, pod("Pending"), pod("Running"), last)
    assert owner(pods).run() == status
    assert pods.deleted == 0


def test_a_driver_that_was_left_is_ended_before_another_is_made(owner: Callable[..., Owner]) -> None:
    pods = Script(pod("Running"), pod("Running", deletionTimestamp="now"), None, pod("Succeeded", 0))
    made = owner(pods)
    assert made.run() == 0
    assert pods.deleted == 1
    assert len(made.submitted) == 1  # type: ignore[attr-defined]


def test_sigterm_ends_the_driver_and_waits_for_it(owner: Callable[..., Owner]) -> None:
    pods = Script(None, pod("Running"), pod("Running"), pod("Running", deletionTimestamp="now"), None)
    made = owner(pods)
    made.pause = lambda _seconds: made.stop.set()
    assert made.run() == 130
    assert pods.deleted == 1
    assert pods.answers == [None]


def test_its_probes_are_those_of_the_driver(owner: Callable[..., Owner], tmp_path: Path) -> None:
    seen = []
    pods = Script(None, pod("Pending"), pod("Running", ready=True), pod("Running"), pod("Succeeded", 0))
    made = owner(pods, lambda _seconds: seen.append([(tmp_path / name).exists() for name in ("alive", "ready")]))
    made.run()
    assert seen == [[True, False], [True, True], [True, False]]


def test_an_api_server_that_is_away_for_a_while_costs_nothing(owner: Callable[..., Owner]) -> None:
    away = [JobError("no answer")] * (owned.MOST_FAILURES - 1)
    assert owner(Script(None, pod("Running"), *away, pod("Running"), *away, pod("Succeeded", 0))).run() == 0
    with pytest.raises(JobError, match="no answer"):
        owner(Script(None, pod("Running"), *away, JobError("no answer"), pod("Succeeded", 0))).run()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "Running"}, "Running"),
        ({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
         "Pending: ImagePullBackOff"),
        ({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: memory"}]},
         "Pending: 0/3 nodes: memory"),
        ({}, "Unknown"),
    ],
)  # fmt: skip
def test_it_says_what_a_driver_waits_for(status: dict[str, Any], said: str) -> None:
    assert owned.described({"status": status}) == said


def test_a_submission_that_fails_is_one_line(owner: Callable[..., Owner]) -> None:
    made = owner(Script(None))

    def refuse(line: list[str]) -> None:
        raise subprocess.CalledProcessError(7, line)

    made.submit = refuse
    with pytest.raises(JobError, match="spark-submit: exit status 7"):
        made.run()


def test_the_driver_belongs_to_its_owner_and_has_its_volumes(owner: Callable[..., Owner], tmp_path: Path) -> None:
    line = owner(Script(None)).command()
    template = yaml.safe_load((tmp_path / "driver.yaml").read_text())
    [parent] = template["metadata"]["ownerReferences"]
    assert (parent["kind"], parent["name"], parent["uid"]) == ("Pod", "owner-1", "u-1")
    config, tmp = template["spec"]["volumes"]
    assert config["configMap"]["name"] == "config-h4sh"
    assert tmp == {"name": "tmp", "emptyDir": {}}
    told = dict(text.split("=", 1) for text in line if text.startswith("spark.") and "=" in text)
    assert told["spark.kubernetes.driver.podTemplateFile"] == str(tmp_path / "driver.yaml")
    assert told["spark.kubernetes.driver.pod.name"] == "event-enrichment-driver"
    assert told["spark.kubernetes.container.image"] == "r/ecompulse-spark:0.1.0"
    assert told["spark.kubernetes.namespace"] == "shop"
    assert line[line.index("--master") + 1] == "k8s://https://10.0.0.1:443"


def test_an_image_that_is_given_wins(owner: Callable[..., Owner]) -> None:
    assert "spark.kubernetes.container.image=mine:1" in replace(owner(Script(None)), image="mine:1").command()
