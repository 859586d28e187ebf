"""What a manifest may not do, by rules of our own; the API server knows only what is impossible."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from ecompulse.cli import submit
from ecompulse.cli.settings import read_settings
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.masking import without_secrets
from pipelines import anomaly_detection, event_enrichment, realtime_metrics, session_analytics

JOBS: Final = {
    spec.name: spec
    for spec in (event_enrichment.SPEC, session_analytics.SPEC, realtime_metrics.SPEC, anomaly_detection.SPEC)
}
_JOB: Final = "app.kubernetes.io/component"
_RIGHTS: Final = {"pods", "services", "configmaps", "persistentvolumeclaims"}
_LEAST_GRACE: Final = 60  # seconds: longer than an epoch, for what has one in hand


@dataclass(frozen=True)
class Pod:
    """A pod that a manifest describes.

    Attributes:
        template: whether it is one of Spark's templates, which Spark completes: image, memory, cores.
    """

    name: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    template: bool = False


def complaints(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with them, a line each."""
    found = [line for pod in pods(documents) for line in _of_pod(pod)]
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "ConfigMap":
            found += [f"{name}: {line}" for line in _of_config(document)]
        if document["kind"] in {"Role", "ClusterRole"}:
            found += [f"{name}: {line}" for line in _of_role(document)]
    return found


def pods(documents: Sequence[Mapping[str, Any]]) -> Iterator[Pod]:
    """Pods of workloads, and templates in config maps."""
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Deployment":
            template = document["spec"]["template"]
            yield Pod(name, template["metadata"]["labels"], template["spec"])
        for file, text in (document.get("data") or {}).items() if document["kind"] == "ConfigMap" else ():
            held = yaml.safe_load(text) if file.endswith(".yaml") else None
            if isinstance(held, dict) and held.get("kind") == "Pod":
                yield Pod(f"{name} {file}", held["metadata"]["labels"], held["spec"], template=True)


def _of_pod(pod: Pod) -> Iterator[str]:
    shared, role = pod.spec.get("securityContext", {}), pod.labels.get("app.kubernetes.io/name")
    grace = pod.spec.get("terminationGracePeriodSeconds", 30)
    rules = {
        "may run as root": not shared.get("runAsNonRoot") or not shared.get("runAsUser"),
        "no seccomp profile": shared.get("seccompProfile", {}).get("type") != "RuntimeDefault",
        "no priority": not pod.spec.get("priorityClassName"),
        "no topology spread": not pod.spec.get("topologySpreadConstraints"),
        "outside of the network policy": pod.labels.get("app.kubernetes.io/part-of") != "ecompulse",
        f"ends within {grace} s, an epoch may take longer": role in {"job", "driver"} and grace < _LEAST_GRACE,
    }
    for volume in pod.spec.get("volumes", []):
        rules[f"volume {volume['name']} is the node's"] = "hostPath" in volume
        rules[f"volume {volume['name']} has no limit"] = not volume.get("emptyDir", {"sizeLimit": ""}).keys()
    yield from (f"{pod.name}: {text}" for text, broken in rules.items() if broken)
    for container in [*pod.spec.get("initContainers", []), *pod.spec["containers"]]:
        yield from (f"{pod.name}: {container['name']}: {line}" for line in _of_container(pod, container))


def _of_container(pod: Pod, container: Mapping[str, Any]) -> Iterator[str]:
    image, security = container.get("image", ""), container.get("securityContext", {})
    exact = image.rpartition("/")[2].partition(":")[2] not in {"", "latest"} or "@sha256:" in image
    executor = pod.labels.get("app.kubernetes.io/name") == "executor"
    rules = {
        f"image {image} has no exact version": not exact and not pod.template,
        "may gain privileges": security.get("allowPrivilegeEscalation") is not False or security.get("privileged"),
        "keeps capabilities": "ALL" not in security.get("capabilities", {}).get("drop", []),
        "may run as root": security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False,
        # Flink's entry point edits its own settings.
        "may write to its image": not security.get("readOnlyRootFilesystem") and not image.startswith("flink:"),
        "no liveness probe": not container.get("livenessProbe") and not executor,
    }
    for kind in ("ephemeral-storage",) if pod.template else ("cpu", "memory", "ephemeral-storage"):
        for bound in ("requests", "limits"):
            rules[f"no {kind} in {bound}"] = kind not in container.get("resources", {}).get(bound, {})
    for variable in container.get("env", []):
        rules[f"env {variable['name']} holds a secret"] = _is_secret(f"{variable['name']}={variable.get('value', '')}")
    yield from (text for text, broken in rules.items() if broken)
    if container.get("args", [])[:1] == ["submit"]:
        try:
            submit._parser().parse_args([pod.labels[_JOB], *container["args"][2:]])
        except UserError as error:
            yield f"submit: {error}"


def _of_config(document: Mapping[str, Any]) -> Iterator[str]:
    job = document["metadata"].get("labels", {}).get(_JOB)
    for file, text in (document.get("data") or {}).items():
        if "\nkind: Pod\n" not in text:  # of a template the containers are looked at
            lines = [line for line in text.splitlines() if _is_secret(line)]
            yield from (f"{file}: holds a secret: {line.partition(':')[0]}" for line in lines)
        if job and file == "config.yaml":
            yield from _of_flags(job, text)


def _of_flags(job: str, text: str) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(text)
        try:
            read_settings(job, "", JOBS[job].settings, [f"--config={path}"])
        except UserError as error:
            yield str(error).replace(f"{path}", "config.yaml")


def _is_secret(line: str) -> bool:
    bare = line.strip().lstrip("#").replace(": ", "=")
    return not line.lstrip().startswith("#") and without_secrets(bare) != bare


def _of_role(document: Mapping[str, Any]) -> Iterator[str]:
    if document["kind"] == "ClusterRole":
        yield "reaches beyond its namespace"
    for rule in document["rules"]:
        beyond = set(rule["resources"]) - _RIGHTS
        if beyond or "*" in rule["verbs"] or rule["apiGroups"] != [""]:
            yield f"has more rights than it needs: {', '.join(sorted(beyond) or rule['verbs'])}"
