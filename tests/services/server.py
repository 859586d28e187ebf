"""A server process on a free port of 127.0.0.1: started, waited for, stopped by its own process group."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

READY_WITHIN: Final = 180.0  # seconds: a JVM on a busy machine
STOPPED_WITHIN: Final = 20.0  # seconds between SIGTERM and SIGKILL
_POLL: Final = 0.1


class Unavailable(Exception):  # noqa: N818  # a fact about the machine, and the reason of a skip
    """This machine cannot have the server: no Java, no root, no registry. The text says which."""


def cache() -> Path:
    """Where servers are installed, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "ecompulse" / "services"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether someone accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a file lock: two processes that install or start the same thing do it one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str | Path], what: str, timeout: float = 600) -> str:
    """Run a step of an installation to its end: what it printed; Unavailable when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise Unavailable(f"{what}: there is no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what}: took over {timeout:.0f} s") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Unavailable(f"{what}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout


@dataclass
class Server:
    """A server that runs, or has run, in a folder of its own.

    Attributes:
        name: for people.
        command: what starts it, always on the same port and data.
        folder: data, settings and log (`<name>.log`).
        port: on 127.0.0.1.
        environment: variables added to ours.
        user: that it runs as; None for ours.
        facts: what clients need to know: addresses, users.
        ready: whether it serves; polled after a start. Without one: whether it listens.
        pid: of the process, which leads its own group; None before the first start.
    """

    name: str
    command: Sequence[str]
    folder: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    facts: dict[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    pid: int | None = None
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / f"{self.name}.log"

    def start(self) -> "Server":
        """Start and wait until it serves; Unavailable, with the end of its log, when it does not."""
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [str(part) for part in self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env={**os.environ, **self.environment},
                    start_new_session=True,
                    user=self.user,
                )
            except FileNotFoundError:
                raise Unavailable(f"{self.name}: there is no {self.command[0]}") from None
        self.pid = self._process.pid
        self._wait_until_ready()
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        not_yet = ""
        ready = self.ready or (lambda: listening(self.port))
        while time.monotonic() < deadline:
            if not self.running:
                raise Unavailable(f"{self.name}: ended at its start: {self._last_words()}")
            try:
                if ready():
                    return
            except Exception as error:  # noqa: BLE001  # each client's own way to say: not yet
                not_yet = f"{type(error).__name__}: {error}"
            time.sleep(_POLL)
        self.kill()
        raise Unavailable(f"{self.name}: not ready within {READY_WITHIN:.0f} s: {not_yet or self._last_words()}")

    @property
    def running(self) -> bool:
        """Whether the process lives; one that nobody has waited for does not."""
        if self._process is not None:
            return self._process.poll() is None
        if self.pid is None:
            return False
        try:
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def stop(self) -> None:
        """SIGTERM; SIGKILL when that is not heard."""
        if not self.running:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        if not self._ended(STOPPED_WITHIN):
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group, and wait for its end."""
        self._signal(signal.SIGKILL)
        self._ended(STOPPED_WITHIN)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start again on the same port and data; ends it first where it still runs."""
        self.stop()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _ended(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL / 2)
        return not self.running

    def _last_words(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\t")]  # no stack traces
        return lines[-1] if lines else "its log is empty"

    def dump(self) -> str:
        """As JSON, for other processes of the same run."""
        return json.dumps({
            "name": self.name, "command": [str(part) for part in self.command], "folder": str(self.folder),
            "port": self.port, "environment": dict(self.environment), "user": self.user, "facts": self.facts,
            "pid": self.pid,
        })  # fmt: skip

    @staticmethod
    def load(text: str) -> "Server":
        """The inverse of `dump`; readiness is then that it listens."""
        known: dict[str, Any] = json.loads(text)
        return Server(**{**known, "folder": Path(known["folder"])})
