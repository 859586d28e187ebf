"""The manifests, without a cluster: what they render to, our own rules, and manifests that are broken on purpose."""

import copy
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.policy import JOBS, complaints, pods

ROOT = Path(__file__).parents[2]
HERE = ROOT / "runner_configs" / "kubernetes"
RENDERED = ROOT / "kubernetes" / "spark-jobs.yaml"

Documents = list[dict[str, Any]]


def rendered(overlay: str) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl, which renders overlays")
    done = subprocess.run(["kubectl", "kustomize", HERE / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def spark() -> Documents:
    return list(yaml.safe_load_all(RENDERED.read_text()))


def test_the_rendered_file_is_what_the_overlay_renders_to() -> None:
    assert RENDERED.read_text().partition("\n---\n")[2] == rendered("overlays/spark"), "run `make manifests`"


@pytest.mark.parametrize("overlay", ["dev", "spark", "flink"])
def test_overlays_keep_our_rules(overlay: str) -> None:
    assert not complaints(list(yaml.safe_load_all(rendered(f"overlays/{overlay}"))))


def test_components_fit_an_overlay(tmp_path: Path) -> None:
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(HERE / "overlays" / "spark", tmp_path)],
        "components": [os.path.relpath(path, tmp_path) for path in sorted((HERE / "components").iterdir())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    documents = list(yaml.safe_load_all(rendered(str(tmp_path))))
    assert not complaints(documents)
    assert {"PodMonitor", "PersistentVolumeClaim"} <= {found["kind"] for found in documents}
    for pod in pods(documents):
        if not pod.template:
            [data] = [volume for volume in pod.spec["volumes"] if volume["name"] == "data"]
            assert data["persistentVolumeClaim"] == {"claimName": "ecompulse-data"}


def test_the_rules_see_every_pod(spark: Documents) -> None:
    found = {(pod.name.split()[0], pod.template) for pod in pods(spark)}
    assert found == {("Deployment", False), ("ConfigMap", True)}
    assert len(list(pods(spark))) == len(JOBS) + 2


def deployment(documents: Documents) -> dict[str, Any]:
    return next(found for found in documents if found["kind"] == "Deployment")


def container(documents: Documents) -> dict[str, Any]:
    found: dict[str, Any] = deployment(documents)["spec"]["template"]["spec"]["containers"][0]
    return found


def spec(documents: Documents) -> dict[str, Any]:
    found: dict[str, Any] = deployment(documents)["spec"]["template"]["spec"]
    return found


def config(documents: Documents, file: str = "config.yaml") -> dict[str, str]:
    found: dict[str, str] = next(found["data"] for found in documents if file in found.get("data", {}))
    return found


def role(documents: Documents) -> dict[str, Any]:
    return next(found for found in documents if found["kind"] == "Role")


def more(documents: Documents, text: str, file: str = "config.yaml") -> None:
    config(documents, file)[file] += text


def without(documents: Documents, file: str, text: str) -> None:
    held = config(documents, file)
    assert text in held[file]
    held[file] = held[file].replace(text, "")


BROKEN: dict[str, tuple[Callable[[Documents], Any], str]] = {
    "memory without a limit": (lambda d: container(d)["resources"]["limits"].pop("memory"), "no memory in limits"),
    "no resources": (lambda d: container(d).pop("resources"), "no cpu in requests"),
    "disk without a limit": (lambda d: without(d, "executor.yaml", "limits: {ephemeral-storage: 10Gi}"), "no ephem"),
    "latest": (lambda d: container(d).update(image="ecompulse-spark:latest"), "no exact version"),
    "no tag": (lambda d: container(d).update(image="registry:5000/ecompulse-spark"), "no exact version"),
    "root": (lambda d: spec(d)["securityContext"].pop("runAsNonRoot"), "may run as root"),
    "root, in a container": (lambda d: container(d)["securityContext"].update(runAsUser=0), "may run as root"),
    "root, in a template": (lambda d: without(d, "driver.yaml", "runAsNonRoot: true"), "driver.yaml: may run as root"),
    "privileges": (lambda d: container(d)["securityContext"].pop("allowPrivilegeEscalation"), "may gain privileges"),
    "capabilities": (lambda d: container(d)["securityContext"].pop("capabilities"), "keeps capabilities"),
    "a writable image": (lambda d: container(d)["securityContext"].pop("readOnlyRootFilesystem"), "to its image"),
    "no seccomp": (lambda d: spec(d)["securityContext"].pop("seccompProfile"), "no seccomp"),
    "a folder of the node": (
        lambda d: spec(d)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "volume x is the node's"
    ),
    "a volume without a limit": (lambda d: spec(d)["volumes"].append({"name": "x", "emptyDir": {}}), "x has no limit"),
    "no probe": (lambda d: container(d).pop("livenessProbe"), "no liveness probe"),
    "a short end": (lambda d: spec(d).update(terminationGracePeriodSeconds=5), "ends within 5 s"),
    "no priority": (lambda d: spec(d).pop("priorityClassName"), "no priority"),
    "no spread": (lambda d: spec(d).pop("topologySpreadConstraints"), "no topology spread"),
    "no policy": (
        lambda d: deployment(d)["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/part-of"),
        "outside of the network policy",
    ),
    "a password in a URL": (
        lambda d: more(d, "\nlookups: postgresql://shop:hunter2@db/shop\n"), "holds a secret"
    ),
    "a password by its name": (lambda d: more(d, "\nsasl.password: hunter2\n"), "holds a secret"),
    "a password in the environment": (
        lambda d: container(d)["env"].append({"name": "PGPASSWORD", "value": "hunter2"}), "PGPASSWORD holds a secret"
    ),
    "an unknown flag": (lambda d: more(d, "\nwatermark_dely: 1m\n"), "watermark_dely: neither this job nor Beam"),
    "a wrong value": (lambda d: more(d, "\ntrigger: often\n"), "trigger"),
    "an unknown flag of submit": (lambda d: container(d)["args"].append("--owned"), "submit: "),
    "rights to secrets": (lambda d: role(d)["rules"][0]["resources"].append("secrets"), "more rights"),
    "all verbs": (lambda d: role(d)["rules"][0].update(verbs=["*"]), "more rights"),
    "rights everywhere": (lambda d: role(d).update(kind="ClusterRole"), "beyond its namespace"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_on_purpose_is_refused(spark: Documents, broken: str) -> None:
    documents = copy.deepcopy(spark)
    assert not complaints(documents)
    harm, said = BROKEN[broken]
    harm(documents)
    found = complaints(documents)
    assert any(said in line for line in found), found


def test_the_jobs_of_the_overlay_run_with_the_shipped_settings(spark: Documents) -> None:
    shipped = yaml.safe_load((ROOT / "runner_configs" / "spark.yaml").read_text())
    configs = [found for found in spark if "config.yaml" in found.get("data", {})]
    assert {found["metadata"]["labels"]["app.kubernetes.io/component"] for found in configs} == set(JOBS)
    for found in configs:
        assert shipped.items() <= yaml.safe_load(found["data"]["config.yaml"]).items()


def test_an_owner_outlives_its_driver_and_one_is_there_at_a_time(spark: Documents) -> None:
    graces = {pod.labels["app.kubernetes.io/name"]: pod.spec["terminationGracePeriodSeconds"] for pod in pods(spark)}
    assert graces["job"] > graces["driver"] > graces["executor"]
    for found in spark:
        if found["kind"] == "Deployment":
            assert (found["spec"]["replicas"], found["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_budgets_fit_the_number_of_jobs(spark: Documents) -> None:
    budgets = {found["metadata"]["name"]: found["spec"] for found in spark if found["kind"] == "PodDisruptionBudget"}
    assert budgets["drivers"]["minAvailable"] == len(JOBS) - 1


def test_versions_are_those_of_the_package_and_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    version = (ROOT / "setup.py").read_text().partition('version="')[2].partition('"')[0]
    overlays = "".join(path.read_text() for path in (HERE / "overlays").glob("*/kustomization.yaml"))
    assert overlays.count(f"newTag: {version}") == 3
    assert "newTag: 2.77.0" in overlays
    assert "\napache-beam==2.77.0" in f"\n{lock}"
    operator = yaml.safe_load((HERE / "operators" / "spark-application.yaml").read_text())
    assert f"\npyspark=={operator['spec']['sparkVersion']}" in f"\n{lock}"
