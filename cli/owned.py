"""A driver pod of Spark and its owner: one pod of Kubernetes that submits another, and ends with it.

Spark's cluster mode makes a driver pod that nobody restarts. Its owner, a pod of a Deployment, makes it anew: it ends
when the driver has ended, with the driver's exit status, and the kubelet starts it again, with a growing pause. At most
one driver is there at a time, since its name is fixed; and a driver whose owner is gone is removed by Kubernetes, since
the owner is written into it.
"""

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from ecompulse.cli.submission import Submission, read_properties
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kubernetes import Pods
from ecompulse.io.signals import stop_on_signals
from ecompulse.io.terminal import say

POLL: Final = 2.0  # seconds between two looks at the driver
MOST_FAILURES: Final = 30  # looks in a row that fail, before the owner gives up: a minute and more
FAILED: Final = 1
INTERRUPTED: Final = 130
_PREFIX: Final = "spark.kubernetes"
TEMPLATE: Final = f"{_PREFIX}.driver.podTemplateFile"


class Cluster(Protocol):
    """The pods of a namespace."""

    @property
    def url(self) -> str:
        """Of the API server."""
        ...

    @property
    def namespace(self) -> str:
        """Its name."""
        ...

    def get(self, name: str) -> dict[str, Any] | None:
        """A pod, or None."""
        ...

    def delete(self, name: str) -> None:
        """Ask for its end."""
        ...


def own(wanted: Submission, image: str | None, state: Path) -> int:
    """Submit a driver, watch it, and return its exit status; on SIGTERM end it first.

    `state`: folder of the files `alive` and `ready`, for the probes of the owner's own pod.
    """
    stop = stop_on_signals()
    pods = Pods.of_this_pod()
    mine = pods.get(os.environ.get("HOSTNAME", ""))
    if mine is None:
        raise UserError("--own: HOSTNAME does not name a pod of this namespace")
    owner = Owner(pods, mine, wanted, image, state, stop)
    return owner.run()


@dataclass
class Owner:
    """Keeps one driver pod.

    Attributes:
        mine: the owner's own pod, as the API server knows it.
        submit: runs the command that makes the driver pod; raises CalledProcessError.
        pause: lets seconds pass, or ends early when `stop` is set.
    """

    pods: Cluster
    mine: Mapping[str, Any]
    wanted: Submission
    image: str | None
    state: Path
    stop: threading.Event
    submit: Callable[[list[str]], object] = lambda command: subprocess.run(command, check=True)
    pause: Callable[[float], object] | None = None
    _said: str = field(default="", init=False)

    @property
    def driver(self) -> str:
        """Name of the driver pod, the same for every start of the job."""
        return f"{self.wanted.job.replace('_', '-')}-driver"

    def run(self) -> int:
        """Until the driver has ended, or this pod is to end; returns an exit status."""
        self._mark("ready", there=False)
        self._remove("a driver that was left")
        if self.stop.is_set():
            return INTERRUPTED
        command = self.command()
        say(f"submit: {shlex.join(command)}")
        try:
            self.submit(command)
        except subprocess.CalledProcessError as error:
            raise JobError(f"spark-submit: exit status {error.returncode}") from None
        status = self._watch()
        if status is None:
            self._remove("the driver")
            return INTERRUPTED
        say(f"submit: {self.driver} ended with status {status}")
        return status

    def command(self) -> list[str]:
        """The whole spark-submit."""
        conf = dict(read_properties(self.wanted.properties)) if self.wanted.properties else {}
        conf.update(self.wanted.conf or {})
        master = f"k8s://{self.pods.url}"
        template = self._template(conf.get(TEMPLATE))
        fixed = {
            f"{_PREFIX}.namespace": self.pods.namespace,
            f"{_PREFIX}.driver.pod.name": self.driver,
            f"{_PREFIX}.driver.master": self.pods.url,
            f"{_PREFIX}.submission.waitAppCompletion": "false",
            f"{_PREFIX}.container.image": self.image or self._container()["image"],
            TEMPLATE: str(template),
        }
        account = self.mine["spec"].get("serviceAccountName", "default")
        given = {f"{_PREFIX}.authenticate.driver.serviceAccountName": account, **(self.wanted.conf or {}), **fixed}
        for role in ("driver", "executor"):
            given[f"{_PREFIX}.{role}.label.app.kubernetes.io/component"] = self.wanted.job
        [command] = replace(self.wanted, master=master, conf=given).commands()
        return command

    def _template(self, path: str | None) -> Path:
        """The driver's pod template, with its owner; volumes that this pod has too, by name, are this pod's.

        So what Kustomize writes into the Deployment, names of config maps with their hashes, holds for the driver.
        """
        if path is None:
            raise UserError(f"--properties: {TEMPLATE} is required with --own")
        try:
            pod = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"--properties: {TEMPLATE}: {path}: {error}") from None
        meta = self.mine["metadata"]
        pod.setdefault("metadata", {})["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"], "blockOwnerDeletion": False}
        ]
        own = {volume["name"]: volume for volume in self.mine["spec"].get("volumes", [])}
        volumes = pod.setdefault("spec", {}).get("volumes", [])
        pod["spec"]["volumes"] = [own.get(volume["name"], volume) for volume in volumes]
        rendered = self.state / "driver.yaml"
        rendered.write_text(yaml.safe_dump(pod), encoding="utf-8")
        return rendered

    def _container(self) -> Mapping[str, Any]:
        container: Mapping[str, Any] = self.mine["spec"]["containers"][0]
        return container

    def _watch(self) -> int | None:
        """The driver's exit status once it has ended; None when this pod is to end before."""
        failures = 0
        while not self.stop.is_set():
            try:
                pod = self.pods.get(self.driver)
                failures = 0
            except JobError as error:
                failures += 1
                self._tell(str(error))
                if failures >= MOST_FAILURES:
                    raise
            else:
                if pod is None:
                    self._mark("ready", there=False)
                    self._tell(f"{self.driver} was deleted")
                    return FAILED
                self._mark("ready", there=is_ready(pod))
                self._tell(f"{self.driver} is {described(pod)}")
                status = exit_status(pod)
                if status is not None:
                    return status
            self._mark("alive", there=True)
            self._wait()
        return None

    def _remove(self, what: str) -> None:
        """End the driver pod and wait until it is gone: a stop of the job, so it may take as long as an epoch."""
        pod = self.pods.get(self.driver)
        if pod is None:
            return
        say(f"submit: ending {what}, {self.driver}")
        while pod is not None:
            if not pod["metadata"].get("deletionTimestamp"):
                self.pods.delete(self.driver)
            self._mark("alive", there=True)
            (self.pause or time.sleep)(POLL)
            pod = self.pods.get(self.driver)

    def _wait(self) -> None:
        self.pause(POLL) if self.pause else self.stop.wait(POLL)

    def _mark(self, name: str, *, there: bool) -> None:
        path = self.state / name
        if there:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def _tell(self, what: str) -> None:
        if what != self._said:
            self._said = what
            say(f"submit: {what}")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod's readiness probe passes."""
    conditions = pod["status"].get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def described(pod: Mapping[str, Any]) -> str:
    """A pod's phase, and what it waits for: an image, a node with room."""
    status = pod["status"]
    waits = [found.get("state", {}).get("waiting") or {} for found in status.get("containerStatuses") or ()]
    nowhere = [found for found in status.get("conditions") or () if found.get("reason") == "Unschedulable"]
    reasons = [found.get("reason", "") for found in waits] + [found.get("message", "") for found in nowhere]
    return ": ".join([status.get("phase", "Unknown"), *(reason for reason in reasons if reason)])


def exit_status(pod: Mapping[str, Any]) -> int | None:
    """Of the first container that has ended, a failure before a success; None while the pod runs."""
    phase = pod["status"].get("phase")
    if phase not in {"Succeeded", "Failed"}:
        return None
    ended = [
        container["state"]["terminated"]["exitCode"]
        for container in pod["status"].get("containerStatuses") or ()
        if container.get("state", {}).get("terminated")
    ]
    worst: int = max(ended, default=0)
    return worst or (FAILED if phase == "Failed" else 0)
