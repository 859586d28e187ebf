"""The page of a live demo, for as long as it lasts."""

import os
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_HOST: Final = "127.0.0.1"
_WANTED: Final = 8080
_PATIENCE: Final = 10.0  # seconds that it may take to end


@contextmanager
def page_of(out: Path) -> Iterator[str | None]:
    """Serve the jobs and tables of a demo's folder; the address, or None where the extra `ui` is not installed.

    A browser is opened where somebody sits in front of one.
    """
    if any(find_spec(name) is None for name in ("uvicorn", "starlette")):
        print("demo: pip install 'ecompulse[ui]' for a page to look at", flush=True)
        yield None
        return
    port = _free_port()
    address = f"http://{_HOST}:{port}/"
    with (out / "ui.log").open("w") as log:
        process = subprocess.Popen(_command(out, port), stdout=log, stderr=log, start_new_session=True)
    try:
        print(f"demo: its page is {address}", flush=True)
        if sys.stdout.isatty() and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
            webbrowser.open(address)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def _command(out: Path, port: int) -> Sequence[str]:
    return [
        sys.executable, "-m", "ecompulse", "ui", str(out / "checkpoints"), f"--lake={out / 'lake'}",
        f"--warehouse=sqlite:///{out / 'warehouse.db'}", f"--port={port}",
    ]  # fmt: skip


def _free_port() -> int:
    """8080 if nobody has it, else any that is free."""
    for wanted in (_WANTED, 0):
        with socket.socket() as tried:
            try:
                tried.bind((_HOST, wanted))
            except OSError:
                continue
            port: int = tried.getsockname()[1]
            return port
    raise OSError("no port is free")
