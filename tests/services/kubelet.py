"""A node without a container engine: pods of the API server become processes on layers of an image, with their volumes.

It binds pods to itself, gives each an address of the loopback, runs its containers as their users in namespaces of
their own, asks its probes, starts containers anew, and ends a pod within its grace. All share this machine's network.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from services.kubernetes import ControlPlane
from support.image import Image, Volume, container

NODE: Final = "loopback"
_POLL: Final = 0.5  # seconds
_BACK_OFF: Final = 3.0  # seconds between two starts, at the least; a real one doubles it each time


@dataclass
class Running:
    """A container of a pod.

    Attributes:
        spec: as the API server has it.
        started: how often.
        passed: what its probes said last.
    """

    spec: Mapping[str, Any]
    own: Path
    process: "subprocess.Popen[bytes] | None" = None
    started: int = 0
    status: int | None = None
    began: float = 0.0
    passed: dict[str, bool] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    failures: int = 0

    @property
    def init(self) -> "psutil.Process | None":
        """Process 1 of its namespace."""
        with contextlib.suppress(psutil.Error):
            if self.process is not None and self.process.poll() is None:
                return next(iter(psutil.Process(self.process.pid).children()), None)
        return None

    def signal(self, number: int) -> None:
        """To process 1, if there still is one."""
        first = self.init
        if first is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                first.send_signal(number)

    @property
    def log(self) -> Path:
        """What it printed, all starts."""
        return self.own / "log"


@dataclass
class Pod:
    """A pod that runs here."""

    name: str
    uid: str
    address: str
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    folder: Path
    containers: list[Running]
    told: str = ""
    ends: float | None = None


@dataclass
class Kubelet:
    """The node of one namespace.

    Attributes:
        images: by name without tag.
        claims: folder of each persistent volume claim.
        pods: by uid, those that run.
    """

    plane: ControlPlane
    namespace: str
    folder: Path
    images: Mapping[str, Image]
    claims: Mapping[str, Path] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2))
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> "Kubelet":
        """Work in a thread until `stop`."""
        self._thread = threading.Thread(target=self._work, name="kubelet", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End what runs, at once."""
        self._over.set()
        if self._thread:
            self._thread.join()
        for pod in self.pods.values():
            self._kill(pod)

    def _work(self) -> None:
        while not self._over.wait(_POLL):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a test reads it
                self.errors.append(f"{type(error).__name__}: {error}")

    def look(self) -> None:
        """Once: compare what is wanted with what runs."""
        wanted = {pod["metadata"]["uid"]: pod for pod in self._get("pods")["items"]}
        for uid, pod in wanted.items():
            mine = self.pods.get(uid)
            if mine is None:
                if pod["status"].get("phase") == "Pending" and not pod["metadata"].get("deletionTimestamp"):
                    self._begin(pod)
            elif pod["metadata"].get("deletionTimestamp"):
                self._end(mine, pod["metadata"].get("deletionGracePeriodSeconds", 30))
            else:
                self._keep(mine)
        for uid in set(self.pods) - set(wanted):
            self._kill(self.pods.pop(uid))

    def _begin(self, wanted: Mapping[str, Any]) -> None:
        meta, spec = wanted["metadata"], wanted["spec"]
        self._call("POST", f"pods/{meta['name']}/binding", {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        })  # fmt: skip
        folder = self.folder / meta["name"]
        side = [found for found in spec.get("initContainers", []) if found.get("restartPolicy") == "Always"]
        containers = [Running(found, folder / found["name"]) for found in (*side, *spec["containers"])]
        address = f"127.0.1.{next(self._numbers)}"
        pod = Pod(meta["name"], meta["uid"], address, spec, meta.get("labels", {}), folder, containers)
        shutil.rmtree(folder, ignore_errors=True)
        self.pods[meta["uid"]] = pod
        for one in containers:
            one.own.mkdir(parents=True)

    def _run(self, pod: Pod, one: Running) -> None:
        environment = self._environment(pod, one.spec)

        def filled(text: str) -> str:
            return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), text)

        name = one.spec["image"].rpartition("/")[2].partition(":")[0]
        own = one.own / f"start-{one.started}"
        security = {**pod.spec.get("securityContext", {}), **one.spec.get("securityContext", {})}
        line = container(
            self.images[name],
            own,
            [filled(text) for text in one.spec.get("args", [])],
            command=[filled(text) for text in one.spec["command"]] if one.spec.get("command") else None,
            environment=environment,
            volumes=[Volume(self._hosts(pod), "/etc/hosts"), *self._volumes(pod, one.spec)],
            user=f"{security['runAsUser']}:{security.get('runAsGroup', 0)}",
            read_only=security.get("readOnlyRootFilesystem", False),
            host=pod.name,
        )
        with one.log.open("ab") as log:
            one.process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        one.started, one.status, one.began = one.started + 1, None, time.monotonic()
        one.passed, one.asked, one.failures = {}, {}, 0

    def _environment(self, pod: Pod, spec: Mapping[str, Any]) -> dict[str, str]:
        facts = {
            "metadata.name": pod.name, "metadata.namespace": self.namespace, "metadata.uid": pod.uid,
            "status.podIP": pod.address, "status.hostIP": "127.0.0.1", "spec.nodeName": NODE,
            **{f"metadata.labels['{key}']": value for key, value in pod.labels.items()},
        }  # fmt: skip
        found = {"HOSTNAME": pod.name, "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
        found["KUBERNETES_SERVICE_PORT"] = str(self.plane.port)
        for source in spec.get("envFrom", []):
            kept = self._get(f"secrets/{source['secretRef']['name']}", absent=bool(source["secretRef"].get("optional")))
            assert not kept.get("data"), "no test has a secret"
        for variable in spec.get("env", []):
            origin = variable.get("valueFrom", {})
            if "fieldRef" in origin:
                found[variable["name"]] = facts[origin["fieldRef"]["fieldPath"]]
            else:
                found[variable["name"]] = variable.get("value", "")
        return found

    def _hosts(self, pod: Pod) -> Path:
        """Names of services without an address of their own, which lead to their pods."""
        lines = ["127.0.0.1 localhost", f"{pod.address} {pod.name}"]
        for service in self._get("services")["items"]:
            selector = service["spec"].get("selector") or {}
            name = f"{service['metadata']['name']}.{self.namespace}.svc"
            lines += [
                f"{other.address} {name} {name}.cluster.local"
                for other in self.pods.values()
                if selector and selector.items() <= other.labels.items()
            ]
        path = pod.folder / "hosts"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _volumes(self, pod: Pod, spec: Mapping[str, Any]) -> list[Volume]:
        known = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        found = []
        for mount in spec.get("volumeMounts", []):
            folder = self._volume(pod, known[mount["name"]])
            found.append(Volume(folder / mount.get("subPath", ""), mount["mountPath"], mount.get("readOnly", False)))
        return sorted(found, key=lambda volume: volume.path.count("/"))

    def _volume(self, pod: Pod, volume: Mapping[str, Any]) -> Path:
        if "persistentVolumeClaim" in volume:
            return self.claims[volume["persistentVolumeClaim"]["claimName"]]
        folder = pod.folder / "volumes" / volume["name"]
        if folder.exists():
            return folder
        files: Mapping[str, str] = {}
        if "configMap" in volume:
            data = self._get(f"configmaps/{volume['configMap']['name']}").get("data") or {}
            items = volume["configMap"].get("items") or [{"key": key, "path": key} for key in data]
            files = {item["path"]: data[item["key"]] for item in items}
        elif "projected" in volume:
            files = {
                "namespace": self.namespace, "ca.crt": self.plane.authority.read_text(), "token": self._token(pod),
            }  # fmt: skip
        else:
            assert "emptyDir" in volume, volume
        folder.mkdir(parents=True)
        os.chown(folder, 0, pod.spec.get("securityContext", {}).get("fsGroup", 0))
        folder.chmod(0o2775)
        for name, text in files.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
        return folder

    def _token(self, pod: Pod) -> str:
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid}
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
        token: str = self._call("POST", f"serviceaccounts/{pod.spec['serviceAccountName']}/token", wanted)["status"][
            "token"
        ]
        return token

    def _keep(self, pod: Pod) -> None:
        for one in pod.containers:
            if one.process is None:
                with contextlib.suppress(FileNotFoundError):  # Spark makes a pod first, then its config map
                    self._run(pod, one)
                continue
            if one.status is None and one.process.poll() is not None:
                one.status, one.passed = _status(one.process), {}
            if one.status is not None and pod.spec.get("restartPolicy") == "Always":
                if time.monotonic() > one.began + _BACK_OFF:
                    self._run(pod, one)
            elif one.status is None and one.init is not None:
                self._probe(pod, one)
        self._tell(pod)

    def _probe(self, pod: Pod, one: Running) -> None:
        kinds = ["startupProbe"] if not one.passed.get("startupProbe", "startupProbe" not in one.spec) else []
        for kind in kinds or ["livenessProbe", "readinessProbe"]:
            probe = one.spec.get(kind)
            if probe is None or time.monotonic() - one.asked.get(kind, 0) < min(probe.get("periodSeconds", 10), 2):
                continue
            one.asked[kind] = time.monotonic()
            one.passed[kind] = self._passes(pod, one, probe)
            if kind == "livenessProbe":
                one.failures = 0 if one.passed[kind] else one.failures + 1
                if one.failures >= probe.get("failureThreshold", 3):
                    one.signal(signal.SIGTERM)

    @staticmethod
    def _passes(pod: Pod, one: Running, probe: Mapping[str, Any]) -> bool:
        if "exec" in probe:
            first = one.init
            if first is None:
                return False
            command = ["nsenter", f"--target={first.pid}", "--mount", "--pid", "--root", *probe["exec"]["command"]]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        wanted = probe["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in one.spec.get("ports", []) if "name" in port}
        port = ports.get(wanted["port"], wanted["port"])
        try:
            with urllib.request.urlopen(f"http://{pod.address}:{port}{wanted['path']}", timeout=5) as answer:
                return bool(answer.status < 400)
        except OSError:
            return False

    def _end(self, pod: Pod, grace: float) -> None:
        now = time.monotonic()
        if pod.ends is None:
            pod.ends = now + grace
            for one in pod.containers:
                one.signal(signal.SIGTERM)
        living = [one for one in pod.containers if one.process is not None and one.process.poll() is None]
        if living and now < pod.ends:
            return
        self._kill(pod)
        del self.pods[pod.uid]
        with contextlib.suppress(OSError):
            self._call("DELETE", f"pods/{pod.name}", {
                "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid},
            })  # fmt: skip

    @staticmethod
    def _kill(pod: Pod) -> None:
        for one in pod.containers:
            if one.process is not None and one.process.poll() is None:
                one.signal(signal.SIGKILL)
                one.process.kill()
                one.process.wait()

    def _tell(self, pod: Pod) -> None:
        """The pod's status, where it changed."""
        statuses = [_told(one) for one in pod.containers if one.spec in pod.spec["containers"]]
        ended = [one.status for one in pod.containers if one.status is not None]
        over = len(ended) == len(pod.containers) and pod.spec.get("restartPolicy") != "Always"
        phase = ("Failed" if any(ended) else "Succeeded") if over else "Running"
        ready = "True" if phase == "Running" and all(status["ready"] for status in statuses) else "False"
        conditions = [{"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]
        status = {
            "phase": phase, "podIP": pod.address, "podIPs": [{"ip": pod.address}], "hostIP": "127.0.0.1",
            "conditions": conditions, "containerStatuses": statuses,
        }  # fmt: skip
        told = json.dumps(status)
        if told != pod.told:
            pod.told = told
            with contextlib.suppress(FileNotFoundError):
                self._call("PATCH", f"pods/{pod.name}/status", {"status": status})

    def _get(self, path: str, *, absent: bool = False) -> dict[str, Any]:
        try:
            return self._call("GET", path)
        except FileNotFoundError:
            if absent:
                return {}
            raise

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return self.plane.call(method, f"/api/v1/namespaces/{self.namespace}/{path}", body)


def _status(process: "subprocess.Popen[bytes]") -> int:
    code = process.wait()
    return code if code >= 0 else 128 - code


def _told(one: Running) -> dict[str, Any]:
    ready = one.status is None and one.passed.get("readinessProbe", "readinessProbe" not in one.spec)
    if one.status is None:
        state: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    else:
        state = {"terminated": {"exitCode": one.status, "reason": "Error" if one.status else "Completed"}}
    name, image = one.spec["name"], one.spec["image"]
    return {
        "name": name, "ready": ready, "restartCount": one.started - 1, "image": image, "imageID": image, "state": state,
    }  # fmt: skip
