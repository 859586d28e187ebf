"""A standalone Spark cluster on the loopback: PyPI's own PySpark, one master, workers of one core each."""

import json
import shutil
import urllib.request
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil

from services.server import Server, Unavailable, free_port

_ENVIRONMENT: Final = {
    "SPARK_LOCAL_IP": "127.0.0.1",
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.worker.timeout=20",
}


@dataclass
class Cluster:
    """A master and its workers.

    Attributes:
        url: for `--spark_master`.
    """

    url: str
    master: Server
    page: int
    workers: list[Server] = field(default_factory=list)

    def executors(self) -> list[psutil.Process]:
        """The JVMs in which tasks run at this moment."""
        found = []
        for worker in self.workers:
            for process in psutil.Process(worker.pid).children(recursive=True) if worker.running else ():
                try:
                    if any("CoarseGrainedExecutorBackend" in part for part in process.cmdline()):
                        found.append(process)
                except psutil.Error:
                    continue  # it has just ended
        return found

    def stop(self) -> None:
        """Everything, executors included."""
        for server in (*self.workers, self.master):
            server.kill()


def install() -> Path:
    """PySpark's folder; Unavailable where there is none, or no Java."""
    if shutil.which("java") is None:
        raise Unavailable("there is no Java (17 or newer) on this machine")
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise Unavailable("PySpark is not installed")
    return Path(spec.origin).parent


def start(folder: Path, workers: int = 2, memory: str = "2g") -> Cluster:
    """A new cluster; ready when all workers have registered."""
    launcher = install() / "bin" / "spark-class"
    folder.mkdir(parents=True, exist_ok=True)
    port, page = free_port(), free_port()
    where = ["--host", "127.0.0.1"]
    command = [str(launcher), "org.apache.spark.deploy.master.Master", *where, "--webui-port", str(page)]
    master = Server("spark-master", [*command, "--port", str(port)], folder, page, _ENVIRONMENT).start()
    cluster = Cluster(f"spark://127.0.0.1:{port}", master, page)
    try:
        for number in range(workers):
            mine = folder / f"worker-{number}"
            mine.mkdir()
            own = free_port()
            command = [str(launcher), "org.apache.spark.deploy.worker.Worker", *where, "--webui-port", str(own)]
            command += ["--cores", "1", "--memory", memory, "--work-dir", str(mine / "work"), cluster.url]
            server = Server("spark-worker", command, mine, own, _ENVIRONMENT)
            server.ready = lambda number=number: _registered(page) > number
            cluster.workers.append(server.start())
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _registered(page: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
        return sum(worker["state"] == "ALIVE" for worker in json.load(answer)["workers"])
