"""Start servers by hand, print their addresses, stop them on Ctrl-C: `make services`.

`python -m services [NAME...] [-- COMMAND...]`: with a command, run it beside them and stop them when it ends; in its
arguments `@name.fact` stands for a server's fact, as in `--kafka=@kafka.bootstrap`.
"""

import importlib
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from services.fixtures import MODULES
from services.server import Server, Unavailable


def start_all(folder: Path, names: list[str], until: ExitStack) -> list[Server]:
    """The servers of these names that this machine can have; each is stopped when `until` closes."""
    servers = []
    for name in names:
        try:
            server: Server = importlib.import_module(f"services.{MODULES[name]}").start(folder / name)
        except (Unavailable, ModuleNotFoundError) as error:
            print(f"{name}: not here: {error}", flush=True)
            continue
        until.callback(server.stop)
        servers.append(server)
        facts = "  ".join(f"{key}={value}" for key, value in server.facts.items())
        print(f"{name}: 127.0.0.1:{server.port}  {facts}", flush=True)
    return servers


def beside(servers: list[Server], command: list[str]) -> int:
    """Run a command to its end, which Ctrl-C reaches by itself; returns its exit status."""
    facts = {f"@{server.name}.{name}": value for server in servers for name, value in server.facts.items()}
    for place, value in facts.items():
        command = [text.replace(place, value) for text in command]
    process = subprocess.Popen(command)
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                process.terminate()  # the signal was for us alone
    return process.returncode


def main() -> int:
    """Run until interrupted."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    names, command = given[:end] or list(MODULES), given[end + 1 :]
    unknown = sorted(set(names) - set(MODULES))
    if unknown:
        print(f"services: {unknown[0]}: there are {' '.join(MODULES)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as until:
        folder = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="ecompulse-services-")))
        folder.chmod(0o755)
        try:
            servers = start_all(folder, names, until)
            if command:
                return beside(servers, command)
            print("services: running; Ctrl-C stops them", flush=True)
            while True:
                time.sleep(1)  # pause() would sleep through a signal that comes just before it
        except KeyboardInterrupt:
            print("services: stopping", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
