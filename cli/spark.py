"""What jobs need to know of Spark: flags, settings, and what workers on other machines cannot see."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ecompulse.cli.places import open_place, warehouse_of
from ecompulse.cli.settings import JobSettings, Places, Settings, Spark, absolute
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.runners.engine import SPARK

if TYPE_CHECKING:
    from ecompulse.runners.spark import SparkSettings

_OF_THE_USER: Final = (
    *("no Java", "Could not parse", "IllegalArgumentException", "ClassNotFoundException"),
    *("Cannot run program", "ModuleNotFoundError", "PYTHON_VERSION_MISMATCH"),  # PYSPARK_PYTHON
)
_TASK_CPUS: Final = "spark.task.cpus"


def spark_settings(job: str, spark: Spark, num_shards: int) -> "SparkSettings":
    """Of a user's flags; UserError when PySpark is not there."""
    try:
        from ecompulse.runners.spark import SparkSettings
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in {"pyspark", "py4j"}:
            raise
        raise UserError("--runner: PySparkRunner needs PySpark; install ecompulse[spark]") from None
    conf = dict(spark.spark_conf)
    conf.setdefault("spark.executorEnv.POLARS_MAX_THREADS", conf.get(_TASK_CPUS, "1"))
    return SparkSettings(
        master=spark.spark_master,
        conf=conf,
        parallelism=spark.spark_parallelism or num_shards,
        app_name=job,
    )


def check_workers(runner: Any, job: str, settings: Settings[JobSettings]) -> None:
    """UserError, naming the flag, for a place that workers on other machines cannot see; starts Spark.

    Whether they see a disk that the user calls shared, they are asked.
    """
    places = settings.places
    if settings.running.runner != SPARK:
        return
    with _answering("Spark does not start"):
        remote = runner.remote
    if not remote:
        return
    if places.warehouse != "none" and warehouse_of(places).startswith("sqlite"):
        raise UserError("--warehouse: SQLite is a file of one machine; give postgresql:// or none on a cluster")
    wanted = [("checkpoint", places.checkpoint_of(job)), *(("source", absolute(uri)) for uri in settings.inputs.source)]
    if places.lake != "none":
        wanted.insert(1, ("lake", absolute(places.lake)))
    local = {flag: place for flag, place in wanted if "://" not in place}
    if local and not settings.spark.shared_filesystem:
        flag, place = next(iter(local.items()))
        raise UserError(f"--{flag}: {place} is on this machine's disk; give --shared_filesystem if all workers see it")
    _probe(runner, {flag: place for flag, place in local.items() if flag != "source"}, places)


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """One line of why Spark does not: UserError for what the user must change, JobError for what may pass."""
    from ecompulse.runners.spark.failures import TaskFailed

    try:
        yield
    except TaskFailed as error:
        wrong = any(mark in str(error) for mark in _OF_THE_USER)
        raise (UserError if wrong else JobError)(f"--runner: PySparkRunner: {what}: {error}") from None


def _probe(runner: Any, folders: dict[str, str], places: Places) -> None:
    content = uuid.uuid4().hex.encode()
    files = {flag: Path(folder, f".probe-{uuid.uuid4().hex}") for flag, folder in folders.items()}
    try:
        for flag, path in files.items():  # with the modes of what the job will write there
            open_place(flag, str(path.parent), places).put(path.name, content)
        with _answering("no answer of workers"):
            unseen = runner.unreadable({str(path): content for path in files.values()})
    finally:
        for path in files.values():
            path.unlink(missing_ok=True)
    for flag, path in files.items():
        if str(path) in unseen:
            raise UserError(f"--{flag}: {path.parent}: workers do not see this folder, or run as another user")
