"""A job to be run on an engine, and the command that does it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import UserError

JOB_SERVER: Final = "apache/beam_flink1.19_job_server:2.77.0"
"""Of Flink, of the version of Beam that is locked."""

PROGRAM: Final = "local:///opt/ecompulse/main.py"
"""What Spark starts in the image of build.sh."""


@dataclass(frozen=True)
class Submission:
    """A job to be run on an engine.

    Attributes:
        config: YAML file of the job's flags, where the driver finds it.
        conf: Spark's settings, over those of `properties`.
        properties: file of Spark's settings; None: what spark-submit finds by itself.
        flags: further ones of the job.
    """

    job: str
    engine: str
    config: str
    master: str | None = None
    conf: Mapping[str, str] | None = None
    properties: str | None = None
    flags: Sequence[str] = ()

    def commands(self) -> list[list[str]]:
        """What to run, in this order; all but the last go on in the background."""
        told = [self.job, f"--config={self.config}", *self.flags]
        if self.engine == "spark":
            return [self._spark(told)]
        run = [sys.executable, "-m", "pipelines", *told]
        if self.engine == "flink":
            server = [
                "docker",
                "run",
                "--rm",
                "--net=host",
                JOB_SERVER,
                f"--flink-master={self.master or 'localhost:8081'}",
            ]
            return [server, run]
        return [run]

    def _spark(self, told: Sequence[str]) -> list[str]:
        cluster = bool(self.master and self.master.startswith("k8s://"))
        command = ["spark-submit"]
        command += ["--master", self.master] if self.master else []
        command += ["--deploy-mode", "cluster", "--name", self.job.replace("_", "-")] if cluster else []
        command += ["--properties-file", self.properties] if self.properties else []
        for key, value in (self.conf or {}).items():
            command += ["--conf", f"{key}={value}"]
        return [*command, PROGRAM if cluster else str(_program()), *told]


def _program() -> Path:
    """What a cluster's driver starts as a script on this machine."""
    return Path(str(getattr(find_spec("pipelines"), "origin", ""))).with_name("__main__.py")


def read_properties(path: str) -> dict[str, str]:
    """Settings of a file in the form of spark-defaults.conf; UserError when it cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"--properties: {path}: {error.strerror}") from None
    settings = (line.strip().split(maxsplit=1) for line in lines if line.strip() and not line.lstrip().startswith("#"))
    found = {}
    for setting in settings:
        if len(setting) == 1 or not setting[0].startswith("spark."):
            raise UserError(f"--properties: {path}: wants `spark.key value` lines, not {' '.join(setting)!r}")
        found[setting[0]] = setting[1]
    return found
