"""`ForkedPopen`: `python -m MODULE ...` as subprocess.Popen runs it, started in milliseconds by the fork server."""

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from support import forkserver

_PATIENCE: Final = 120.0  # seconds: Beam is imported once


class ForkedPopen(subprocess.Popen[Any]):
    """A program of ours in a process of its own; everything else is Popen's.

    Its parent is the fork server, which tells how it ended.
    """

    def _execute_child(self, args: Any, *rest: Any) -> None:
        """Instead of fork and exec; `rest` as Popen of Python 3.11 to 3.14 hands it on."""
        folder, environment, pipes = rest[4], rest[5], rest[9:15]
        _, dash_m, module, *arguments = args
        assert dash_m == "-m", args
        wanted = {
            "module": module,
            "arguments": arguments,
            "environment": dict(environment or os.environ),
            "folder": str(folder or Path.cwd()),
        }
        theirs = (pipes[0], pipes[3], pipes[5])
        self._told = socket.socket(socket.AF_UNIX)
        self._told.connect(_server())
        descriptors = [number if other == -1 else other for number, other in enumerate(theirs)]
        socket.send_fds(self._told, [b" "], descriptors)
        self._told.sendall(json.dumps(wanted).encode() + b"\n")
        self._heard = b""
        self.pid = self._line()
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        self._told.settimeout(0.0 if wait_flags & os.WNOHANG else None)
        try:
            status = self._line()
        except BlockingIOError:
            return 0, 0
        self._told.close()
        return self.pid, status

    def _line(self) -> int:
        """A number that the server tells; BlockingIOError while there is none."""
        while not self._heard.endswith(b"\n"):
            heard = self._told.recv(1)  # no more than this line
            if not heard:
                raise ChildProcessError("the fork server is gone")
            self._heard += heard
        number, self._heard = int(self._heard), b""
        return number

    def _internal_poll(self, _deadstate: int | None = None, *_: Any) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)
        return self.returncode


@cache
def _server() -> str:
    """Address of this process's fork server."""
    folder = tempfile.mkdtemp(prefix="ecompulse-forks-")
    path = str(Path(folder, "socket"))
    tests = Path(forkserver.__file__).parents[1]
    server = subprocess.Popen(
        [sys.executable, forkserver.__file__, path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=tests
    )

    def stop() -> None:
        server.kill()
        server.wait()
        Path(path).unlink(missing_ok=True)
        Path(folder).rmdir()

    atexit.register(stop)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as tried:
                tried.connect(path)
        except OSError:
            assert server.poll() is None, "the fork server does not start"
            assert time.monotonic() < deadline, "the fork server does not answer"
            time.sleep(0.02)
        else:
            return path
