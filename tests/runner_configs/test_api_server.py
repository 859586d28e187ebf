"""The manifests and a real API server: what it takes, and what it refuses."""

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ecompulse.cli.owned import Owner
from ecompulse.cli.submission import Submission
from ecompulse.epochs.errors import JobError
from ecompulse.io.kubernetes import Pods
from services.kubernetes import ControlPlane
from services.server import free_port
from support.policy import JOBS
from support.process import wait_until

pytestmark = [pytest.mark.night, pytest.mark.slow]

HERE = Path(__file__).parents[2] / "runner_configs" / "kubernetes"
RENDERED = Path(__file__).parents[2] / "kubernetes" / "spark-jobs.yaml"
CRDS = Path(__file__).parents[3] / "shared" / "data" / "crds"


@pytest.fixture
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Without what a test before has left."""
    yield control_plane
    control_plane.kubectl("delete", "namespace", "ecompulse", "--ignore-not-found", "--wait=true", "--timeout=60s")


def apply(plane: ControlPlane, *flags: str, given: str | None = None) -> tuple[int, str]:
    done = plane.kubectl("apply", "--validate=strict", *flags, given=given, check=False)
    return done.returncode, done.stderr + done.stdout


def generations(plane: ControlPlane) -> dict[str, int]:
    """How often what is wanted of each Deployment has changed."""
    found = plane.read("deployments", "-n", "ecompulse")["items"]
    return {one["metadata"]["name"]: one["metadata"]["generation"] for one in found}


@pytest.mark.parametrize(("overlay", "pods"), [("dev", 1), ("spark", len(JOBS)), ("flink", 6)])
def test_an_overlay_is_the_whole_deployment(plane: ControlPlane, overlay: str, pods: int) -> None:
    status, said = apply(plane, "-k", str(HERE / "overlays" / overlay))
    assert status == 0, said
    assert "Warning" not in said  # of admission: pods that the namespace would not let in
    found: list[object] = []
    for _ in range(100):  # the controllers make them
        found = plane.read("pods", "-n", "ecompulse")["items"]
        if len(found) == pods:
            break
        plane.kubectl("wait", "--for=create", "pods", "-n", "ecompulse", "--all", "--timeout=1s", check=False)
    assert len(found) == pods
    before = generations(plane)
    assert apply(plane, "-k", str(HERE / "overlays" / overlay))[0] == 0
    assert generations(plane) == before  # the same once more changes nothing


def test_the_rendered_file_is_taken(plane: ControlPlane) -> None:
    status, said = apply(plane, "-f", str(RENDERED))
    assert status == 0, said


@pytest.mark.parametrize("name", ["spark-application", "flink-deployment"])
def test_resources_of_operators_fit_their_definitions(plane: ControlPlane, name: str) -> None:
    if not CRDS.exists():
        pytest.skip(f"{CRDS} is absent: the operators' definitions are no part of the project")
    plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    kinds = "sparkapplications.sparkoperator.k8s.io,flinkdeployments.flink.apache.org"
    wait_until(lambda: plane.kubectl("get", kinds, "-n", "default", check=False).returncode == 0)
    plane.kubectl("apply", "-k", str(HERE / "base"))
    text = (HERE / "operators" / f"{name}.yaml").read_text()
    status, said = apply(plane, "-f", "-", given=text)
    assert status == 0, said
    broken = text.replace("  image:", "  imagePulPolicy: Always\n  image:", 1)
    status, said = apply(plane, "-f", "-", given=broken)
    assert status != 0
    assert "imagePulPolicy" in said


BROKEN = {
    "an unknown field": ("terminationGracePeriodSeconds:", "terminationGraceSeconds:", "unknown field"),
    "a word for a number": ("replicas: 1", 'replicas: "one"', "replicas"),
    "a truth for a name": ("image: ecompulse-spark:0.1.0", "image: y", "image"),
    "a limit below its request": ("memory: 768Mi", "memory: 1Mi", "must be less than or equal to memory limit"),
    "no such unit": ("memory: 768Mi", "memory: 768Mo", "quantities must match"),
    "a selector that fits no pod": (
        "        app.kubernetes.io/name: job\n        app.kubernetes.io/part-of: ecompulse\n    spec",
        "        app.kubernetes.io/part-of: ecompulse\n    spec",
        "selector",
    ),
    "a volume that is nowhere": ("name: pods\n          readOnly", "name: podz\n          readOnly", "volumeMounts"),
    "a probe of nothing": (
        "exec:\n            command:\n            - test\n            - -e\n            - /tmp/ready",
        "failureThreshold: 1",
        "readinessProbe",
    ),
    "a port that is none": ("port: 9100", "port: 91000", "port"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_is_refused(plane: ControlPlane, broken: str) -> None:
    old, new, said = BROKEN[broken]
    text = RENDERED.read_text()
    assert old in text
    status, told = apply(plane, "-f", "-", given=text.replace(old, new))
    assert status != 0
    assert said in told


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true"),
        ("runAsUser: 10001", "runAsUser: 0", "runAsUser=0"),
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation != false"),
        ("type: RuntimeDefault", "type: Unconfined", "seccompProfile"),
        (r"emptyDir:\n          sizeLimit: 1Gi", "hostPath:\n          path: /", "hostPath"),
    ],
)
def test_the_namespace_lets_no_pod_in_that_may_do_more(plane: ControlPlane, old: str, new: str, said: str) -> None:
    text = RENDERED.read_text()
    harmed = re.sub(old, new, text)
    assert harmed != text
    _, told = apply(plane, "-f", "-", given=harmed)
    assert "would violate PodSecurity" in told
    assert said in told


def test_the_driver_may_make_pods_in_its_namespace_and_nothing_else(plane: ControlPlane) -> None:
    apply(plane, "-k", str(HERE / "base"))

    def may(account: str, *what: str) -> bool:
        who = f"--as=system:serviceaccount:ecompulse:{account}"
        return plane.kubectl("auth", "can-i", *what, who, check=False).stdout.strip() == "yes"

    assert may("driver", "create", "pods", "-n", "ecompulse")
    for beyond in (
        ("create", "pods", "-n", "default"), ("get", "secrets", "-n", "ecompulse"), ("list", "nodes"),
        ("create", "pods", "--subresource=exec", "-n", "ecompulse"), ("create", "deployments.apps", "-n", "ecompulse"),
        ("create", "rolebindings.rbac.authorization.k8s.io", "-n", "ecompulse"),
    ):  # fmt: skip
        assert not may("driver", *beyond), beyond
    assert not may("worker", "get", "pods", "-n", "ecompulse")


POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: x
      image: x:1
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


def test_an_owner_sees_and_ends_pods_of_its_namespace_only(plane: ControlPlane, tmp_path: Path) -> None:
    apply(plane, "-k", str(HERE / "base"))
    plane.kubectl("apply", "-n", "ecompulse", "-f", "-", given=POD.replace("NAME", "event-enrichment-driver"))
    shutil.copy(plane.authority, tmp_path / "ca.crt")
    (tmp_path / "token").write_text(plane.kubectl("create", "token", "driver", "-n", "ecompulse").stdout)
    pods = Pods(plane.url, "ecompulse", tmp_path)
    found = pods.get("event-enrichment-driver")
    assert found is not None
    assert found["status"]["phase"] == "Pending"
    pods.delete("event-enrichment-driver")
    assert pods.get("event-enrichment-driver") is None
    pods.delete("event-enrichment-driver")  # none is no error
    with pytest.raises(JobError, match="403 Forbidden"):
        Pods(plane.url, "default", tmp_path).get("x")
    with pytest.raises(JobError, match=r"Kubernetes: GET of pod x: .*refused"):
        Pods(f"https://127.0.0.1:{free_port()}", "ecompulse", tmp_path).get("x")
    (tmp_path / "token").write_text("nobody's")
    with pytest.raises(JobError, match="401 Unauthorized"):
        pods.get("x")


def test_a_driver_whose_owner_is_gone_is_removed(plane: ControlPlane, tmp_path: Path) -> None:
    apply(plane, "-k", str(HERE / "base"))
    plane.kubectl("apply", "-n", "ecompulse", "-f", "-", given=POD.replace("NAME", "owner"))
    template = HERE / "overlays" / "spark" / "driver.yaml"
    (tmp_path / "spark.conf").write_text(f"spark.kubernetes.driver.podTemplateFile {template}\n")
    wanted = Submission("event_enrichment", "spark", "c.yaml", properties=str(tmp_path / "spark.conf"))
    mine = plane.read("pod", "owner", "-n", "ecompulse")
    Owner(Pods(plane.url, "ecompulse"), mine, wanted, "x:1", tmp_path, threading.Event()).command()
    driver = yaml.safe_load((tmp_path / "driver.yaml").read_text())
    driver["metadata"]["name"] = "event-enrichment-driver"
    driver["spec"]["containers"][0]["image"] = "x:1"
    plane.kubectl("apply", "--validate=strict", "-n", "ecompulse", "-f", "-", given=yaml.safe_dump(driver))
    plane.kubectl("delete", "pod", "owner", "-n", "ecompulse", "--grace-period=0", "--force")
    plane.kubectl("wait", "--for=delete", "pod/event-enrichment-driver", "-n", "ecompulse", "--timeout=60s")
    assert not plane.read("pod", "event-enrichment-driver", "-n", "ecompulse")
