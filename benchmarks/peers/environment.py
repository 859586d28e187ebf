"""The environment of the peers: outside the checkout and the project's own, made when it is first asked for."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.measure import ROOT

REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")


def peers_python() -> str:
    """Its interpreter, with all that `requirements.txt` names; RuntimeError where that cannot be installed."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ecompulse"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wanted = hashlib.blake2b(REQUIREMENTS.read_bytes() + version.encode(), digest_size=6).hexdigest()
    folder = base / f"peers-{wanted}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        print("peers: installing PySpark, Bytewax and Quix Streams into the cache (a minute or two)", file=sys.stderr)
        uv = _told(str(ROOT / "scripts" / "find-uv")).strip()
        _told(uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder))
        _told(uv, "pip", "install", "-q", "--python", str(python), "-r", str(REQUIREMENTS))
        complete.touch()
    return str(python)


def versions(python: str) -> dict[str, str]:
    """Of what is compared, and of what it stands on."""
    names = ("pyspark", "bytewax", "quixstreams", "pandas", "pyarrow", "orjson")
    code = f"import importlib.metadata as m; print(*(m.version(n) for n in {names}))"
    return dict(zip(names, _told(python, "-c", code).split(), strict=True))


def _told(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
