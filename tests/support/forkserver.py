"""Starts programs by forking a process that has Beam, Delta and Polars imported: seconds saved at every start.

`python forkserver.py SOCKET` serves; `ForkedPopen` (`forked.py`) asks. The server has one thread and has used none of
what it has imported, so that a child finds nothing half done.
"""

import array
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

PRELOADED: Final = (
    "apache_beam",
    "deltalake",
    "duckdb",
    "polars",
    "sqlalchemy",
    "ecompulse.cli.assemble",
    "ecompulse.intake",
    "ecompulse.cli.launch",
    "ecompulse.transforms.join",
)
_MOST: Final = 1 << 20  # bytes of a request


def serve(path: str) -> NoReturn:
    """Fork a child for each request, until whoever started us is gone; a connection tells of one child."""
    for name in PRELOADED:
        __import__(name)
    parent = os.getppid()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    listener.settimeout(0.02)
    children: dict[int, socket.socket] = {}
    while os.getppid() == parent:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            pass
        else:
            pid = _start(connection, listener, children)
            if pid:
                children[pid] = connection
        for pid, connection in list(children.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del children[pid]
                _tell(connection, status)
    os._exit(0)


def _tell(connection: socket.socket, number: int) -> None:
    try:
        connection.sendall(f"{number}\n".encode())
    except OSError:  # nobody asks any more
        connection.close()


def _start(connection: socket.socket, listener: socket.socket, children: dict[int, socket.socket]) -> int:
    """The child of a request; 0 for none."""
    connection.setblocking(True)  # its own positional argument
    room = socket.CMSG_SPACE(3 * array.array("i").itemsize)
    message, extra, _, _ = connection.recvmsg(_MOST, room)
    descriptors = array.array("i")
    for _, _, data in extra:
        descriptors.frombytes(data)
    while message and not message.endswith(b"\n"):
        message += connection.recv(_MOST)
    if not message:  # somebody wanted to know whether we are here
        connection.close()
        return 0
    pid = os.fork()
    if not pid:
        for other in (connection, listener, *children.values()):
            other.close()
        _run(json.loads(message), list(descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    _tell(connection, pid)
    return pid


def _run(wanted: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Be the program that is wanted, to its end."""
    status = 1
    try:
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(wanted["environment"])
        os.chdir(wanted["folder"])
        sys.path[0] = wanted["folder"]
        sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        sys.argv = ["", *wanted["arguments"]]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)
    serve(sys.argv[1])
