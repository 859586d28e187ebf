"""A real schema registry: Apicurio, which speaks Confluent's API."""

import shutil
import tarfile
from pathlib import Path
from typing import Final

import requests

from services.server import Server, Unavailable, cache, exclusive, free_port, run

VERSION: Final = "2.6.13.Final"  # the last that runs on Java 17
_ARTIFACT: Final = "apicurio-registry-app"


def install() -> Path:
    """Its folder, fetched with Maven the first time (140 MB); Unavailable where that cannot be."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        raise Unavailable("there is no Java (17 or newer) with Maven on this machine")
    folder = cache() / f"apicurio-{VERSION}"
    with exclusive(cache() / "apicurio.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            wanted = f"io.apicurio:{_ARTIFACT}:{VERSION}:tar.gz:all"
            run(
                ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={wanted}", f"-DoutputDirectory={folder}"],
                "Apicurio",
            )
            [archive] = folder.glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            archive.unlink()
            (folder / "complete").touch()
    return folder


def start(folder: Path) -> Server:
    """A registry that keeps schemas in memory; facts: `url`, of its part that speaks Confluent's API."""
    home, port = install(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    command = [
        "java", "-Xmx512m", f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1",
        "-jar", str(home / f"{_ARTIFACT}-{VERSION}-runner.jar"),
    ]  # fmt: skip
    return Server("apicurio", command, folder, port, facts={"url": url}, ready=lambda: _serves(url)).start()


def _serves(url: str) -> bool:
    try:
        return requests.get(f"{url}/subjects", timeout=5).ok
    except OSError:
        return False
