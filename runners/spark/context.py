"""Spark's context: one per process, kept across runs."""

import atexit
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecompulse.runners.spark.failures import TaskFailed, readable_failures
from ecompulse.runners.spark.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark import SparkContext

_LOGGING: Final = Path(__file__).with_name("log4j2.properties")


def spark_context(settings: SparkSettings) -> "SparkContext":
    """The process's context; begun with these settings when there is none, or when it was stopped from outside.

    Raises:
        ValueError: there is one, on another master.
        TaskFailed: it does not start; the text says why.
    """
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415  # starts nothing, but is an extra of its own

    active = SparkContext._active_spark_context  # noqa: SLF001  # the public way would make one
    if active is not None:
        if not active._jsc.sc().isStopped():  # noqa: SLF001  # nothing public says so
            if settings.master not in {None, active.master}:
                raise ValueError(f"{settings.master}: this process is at work on {active.master} already")
            return active
        active.stop()
    # Before the JVM is there: its own words about where it logs are no user's business.
    require_java()
    os.environ.setdefault("SPARK_SUBMIT_OPTS", f"-Dlog4j2.configurationFile=file:{_LOGGING}")
    wanted = {"spark.ui.showConsoleProgress": "false", **settings.conf}  # the program shows its own
    if settings.master:
        wanted["spark.master"] = settings.master
    with readable_failures():
        SparkContext._ensure_initialized(conf=SparkConf(loadDefaults=False).setAll(list(wanted.items())))  # noqa: SLF001
    conf = SparkConf().setAll(list(wanted.items()))  # over what spark-submit and spark-defaults.conf say
    conf.setIfMissing("spark.master", "local[*]")
    conf.set("spark.app.name", app_name(conf.get("spark.app.name"), settings.app_name, sys.argv[0]))
    if str(conf.get("spark.master")).startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", str(conf.get("spark.pyspark.python", sys.executable)))
    with _own_interrupt(), readable_failures():
        context = SparkContext(conf=conf)
    context.setLogLevel(settings.log_level)
    atexit.register(context.stop)
    return context


def require_java() -> None:
    """TaskFailed where Spark would find no Java; PySpark's shell script says so in its own words."""
    home = os.environ.get("JAVA_HOME")
    if (
        "PYSPARK_GATEWAY_PORT" not in os.environ
        and shutil.which(str(Path(home, "bin", "java")) if home else "java") is None
    ):
        raise TaskFailed(
            f"there is no Java {f'in JAVA_HOME={home}' if home else 'on the PATH'}; Spark needs 17 or newer"
        )


def app_name(known: str | None, wanted: str, program: str) -> str:
    """What Spark's page is to call the program: the user's name for it, else what we want.

    Spark sets a name of its own where the user gave none: the program's file, or that of its shell.
    """
    return wanted if known in {None, "", "pyspark-shell", Path(program).name} else str(known)


def is_local(context: "SparkContext") -> bool:
    """Whether tasks run on this machine, in this program's own JVM."""
    return str(context.master).startswith("local")


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep the program's handler of Ctrl-C: PySpark puts its own in its place, which leaves nothing to be finished."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
