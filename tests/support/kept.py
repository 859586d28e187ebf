"""A job that is kept running, as an orchestrator does it, and its live page: real processes over real folders."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import support
from services.server import free_port
from support.forked import ForkedPopen

TESTS = Path(support.__file__).parents[1]


def start(module: str, arguments: Sequence[str], folder: Path, name: str) -> "subprocess.Popen[bytes]":
    """A program of ours; what it prints is in `NAME.out` and `NAME.err`."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    with (folder / f"{name}.out").open("ab") as out, (folder / f"{name}.err").open("ab") as err:
        return ForkedPopen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**os.environ, "PYTHONPATH": path}, cwd=folder,
        )  # fmt: skip


@dataclass
class KeptJob:
    """A job with a live page beside it.

    Attributes:
        root: of logs and input.
        data: of checkpoint, lake and warehouse.
        starts: how often the job was started.
    """

    root: Path
    job: str
    flags: Sequence[str]
    data: Path
    starts: int = 0
    port: int = field(default_factory=free_port)
    _job: "subprocess.Popen[bytes] | None" = None
    _page: "subprocess.Popen[bytes] | None" = None
    _page_port: int = field(default_factory=free_port)

    def keep(self) -> None:
        """Start what is not there; a job that has ended by itself is started again, if it says that this may help."""
        if self._page is None:
            flags = [str(self.data / "checkpoint"), f"--lake={self.data / 'lake'}", f"--port={self._page_port}"]
            self._page = start("pipelines.ui", [*flags, f"--warehouse={self.warehouse}"], self.root, "page")
        if self._job is not None and self._job.poll() is None:
            return
        assert self._job is None or self._job.returncode == 1, self.said
        self.starts += 1
        self._job = start(f"pipelines.{self.job}", self._arguments(), self.root, "job")

    def _arguments(self) -> list[str]:
        return [
            *self.flags, f"--checkpoint={self.data / 'checkpoint'}", f"--lake={self.data / 'lake'}",
            f"--warehouse={self.warehouse}", f"--metrics_port={self.port}", "--progress=json",
        ]  # fmt: skip

    @property
    def warehouse(self) -> str:
        return f"sqlite:///{self.data / 'warehouse.db'}"

    @property
    def progress(self) -> list[dict[str, Any]]:
        """Of each epoch that was reported, whichever process did."""
        path = self.root / "job.out"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    @property
    def epoch(self) -> int:
        """The last that was reported; 0 before the first."""
        return max((each["batchId"] for each in self.progress), default=0)

    @property
    def said(self) -> str:
        """On stderr."""
        return (self.root / "job.err").read_text()

    def page(self, path: str) -> str:
        """What the live page shows; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._page_port}{path}", timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def stop(self) -> None:
        """End both."""
        for process in (self._job, self._page):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
