"""Servers of Debian's packages: this machine's own, else unpacked into the cache; needs no root."""

import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from services.server import Unavailable, cache, exclusive, run


def binary_of(name: str, packages: Sequence[str]) -> Path:
    """Path of a program; Unavailable where it is not there and cannot be fetched."""
    own = shutil.which(name)
    if own:
        return Path(own)
    folder = cache() / f"{packages[0]}-{platform.machine()}"
    with exclusive(cache() / f"{packages[0]}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _unpack(folder, name, packages)
            (folder / "complete").touch()
    return folder / "usr" / "bin" / name


def libraries_of(binary: Path) -> list[str]:
    """Folders of shared libraries that were unpacked beside a program; none for one of the machine's own."""
    return [str(path) for path in binary.parents[1].glob("lib/*-linux-gnu")] if binary.is_relative_to(cache()) else []


def _unpack(folder: Path, name: str, packages: Sequence[str]) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Unavailable(f"there is no {name} on the path, and no apt-get to fetch Debian's with")
    with tempfile.TemporaryDirectory(dir=cache()) as place:
        fetched = Path(place)
        fetched.chmod(0o777)  # apt drops its rights to fetch
        command = f"cd '{fetched}' && apt-get download -q {' '.join(packages)}"
        try:
            run(["sh", "-c", command], f"{name} from Debian")
        except Unavailable:
            if os.geteuid():
                raise
            run(["apt-get", "update", "-q"], "Debian's lists of packages")  # an image without lists, or with old ones
            run(["sh", "-c", command], f"{name} from Debian")
        for package in fetched.glob("*.deb"):
            run(["dpkg", "-x", package, folder], f"unpacking {package.name}")
