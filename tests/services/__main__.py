"""Start all servers by hand, print their addresses, stop them on Ctrl-C: `make services`."""

import importlib
import signal
import sys
import tempfile
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


def main() -> int:
    """Run until interrupted."""
    names = sys.argv[1:] or list(MODULES)
    unknown = sorted(set(names) - set(MODULES))
    if unknown:
        print(f"services: {unknown[0]}: there are {' '.join(MODULES)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as until:
        folder = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="ecompulse-services-")))
        folder.chmod(0o755)
        try:
            start_all(folder, names, until)
            print("services: running; Ctrl-C stops them", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print("services: stopping", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
