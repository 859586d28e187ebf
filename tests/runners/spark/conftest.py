"""The cluster that tests of the runner on Spark share; one per process of tests."""

import os
from collections.abc import Iterator

import pytest

from services import spark
from services.fixtures import missing
from services.server import Unavailable
from services.spark import Cluster


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory) -> Iterator[Cluster]:
    """One master and two workers of one core each."""
    try:
        cluster = spark.start(tmp_path_factory.mktemp("spark"))
    except Unavailable as error:
        missing("spark", str(error))
    yield cluster
    cluster.stop()


@pytest.fixture(autouse=True)
def on_the_loopback(monkeypatch) -> None:
    """Wherever the machine's name leads."""
    monkeypatch.setitem(os.environ, "SPARK_LOCAL_IP", "127.0.0.1")
