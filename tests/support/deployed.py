"""The spark overlay on a control plane without nodes: its jobs on local folders, small enough for one machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from services.kubelet import Kubelet
from services.kubernetes import ControlPlane
from support.policy import JOBS

MANIFESTS: Final = Path(__file__).parents[2] / "runner_configs" / "kubernetes"
NAMESPACE: Final = "ecompulse"
_SMALL: Final = """
spark.driver.cores                              1
spark.driver.memory                             1g
spark.kubernetes.driver.request.cores           100m
spark.executor.cores                            1
spark.executor.memory                           1g
spark.kubernetes.executor.request.cores         100m
spark.dynamicAllocation.minExecutors            2
spark.dynamicAllocation.maxExecutors            2
spark.kubernetes.allocation.batch.delay         200ms
spark.kubernetes.executor.apiPollingInterval    5s
"""


def overlay(folder: Path, job: str, flags: Mapping[str, Any], tag: str = "0.1.0") -> Path:
    """A folder that `kubectl apply -k` takes: the shipped spark overlay with one job, on the shared volume."""
    folder.mkdir(parents=True, exist_ok=True)
    name = job.replace("_", "-")
    shipped = yaml.safe_load((MANIFESTS / "overlays" / "spark" / "config" / f"{job}.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**shipped, **flags}))
    conf = (MANIFESTS / "overlays" / "spark" / "spark.conf").read_text()
    (folder / "spark.conf").write_text(conf.replace("# spark.kubernetes.", "spark.kubernetes.") + _SMALL)
    others = [f"{other.replace('_', '-')}-job" for other in JOBS if other != job]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [os.path.relpath(MANIFESTS / "overlays" / "spark", folder.resolve())],
        "components": [os.path.relpath(MANIFESTS / "components" / "shared-volume", folder.resolve())],
        "images": [{"name": "ecompulse-spark", "newTag": tag}],
        "configMapGenerator": [
            {"name": f"{name}-config", "behavior": "merge", "files": ["config.yaml"]},
            {"name": "pods", "behavior": "merge", "files": ["spark.conf"]},
        ],
        "patches": [
            {"patch": yaml.safe_dump({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": other}, "$patch": "delete",
            })}
            for other in others
        ],
    }))  # fmt: skip
    return folder


@dataclass
class Deployed:
    """A job of the overlay on a plane."""

    plane: ControlPlane
    kubelet: Kubelet
    job: str

    @property
    def driver(self) -> str:
        """Name of its driver pod."""
        return f"{self.job.replace('_', '-')}-driver"

    def apply(self, folder: Path) -> None:
        """As a user does, with strict validation."""
        self.plane.kubectl("apply", "--validate=strict", "-k", str(folder))

    def pod(self, name: str) -> dict[str, Any]:
        """As the API server has it; nothing where there is none."""
        return self.plane.read("pod", name, "-n", NAMESPACE)

    def executors(self) -> list[str]:
        """Names of the executor pods that run."""
        found = self.plane.read("pods", "-n", NAMESPACE, "-l", "spark-role=executor")["items"]
        return [pod["metadata"]["name"] for pod in found if pod["status"].get("phase") == "Running"]

    def said(self) -> str:
        """What all pods of the job have printed, and what the node could not do."""
        logs = sorted(self.kubelet.folder.glob("*/*/log"))
        return "\n".join([*self.kubelet.errors[-5:], *(f"== {path}\n{path.read_text()[-3000:]}" for path in logs)])
