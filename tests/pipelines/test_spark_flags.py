"""What a user of Spark may get wrong is one line that names the flag, before any data moves."""

import pytest

from ecompulse.cli.settings import JobSettings, Settings, read_settings
from ecompulse.cli.spark import check_workers, spark_settings
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.runners.spark import PySparkRunner, SparkSettings
from ecompulse.runners.spark.failures import TaskFailed
from pipelines import event_enrichment


class Remote:
    """A runner whose workers are elsewhere, and see nothing of `hidden`."""

    def __init__(self, hidden: str = "nothing", failing: str = "", remote: bool = True) -> None:
        self.hidden = hidden
        self.failing = failing
        self.remote = remote
        self.asked: dict[str, bytes] = {}

    def unreadable(self, contents):
        if self.failing:
            raise TaskFailed(self.failing)
        self.asked = dict(contents)
        return [path for path in contents if self.hidden in path]


def options(tmp_path, *flags: str):
    given = [f"--source={tmp_path}", f"--checkpoint={tmp_path / 'c'}", f"--lake={tmp_path / 'lake'}"]
    return read_settings("x", "x", event_enrichment.SPEC.settings, [*given, "--runner=PySparkRunner", *flags])


def refused(tmp_path, *flags: str, runner: Remote | None = None) -> str:
    with pytest.raises(UserError) as error:
        check_workers(runner or Remote(), "event_enrichment", options(tmp_path, *flags))
    return str(error.value)


def test_sqlite_is_of_one_machine(tmp_path):
    assert refused(tmp_path).startswith("--warehouse: SQLite")


def test_a_local_folder_must_be_said_to_be_shared(tmp_path):
    assert refused(tmp_path, "--warehouse=none").startswith(f"--checkpoint: {tmp_path / 'c'} is on this machine's disk")


@pytest.mark.parametrize(("flag", "folder"), [("checkpoint", "c"), ("lake", "lake")])
def test_workers_are_asked_whether_it_is(tmp_path, flag, folder):
    runner = Remote(hidden=f"/{folder}/")
    said = refused(tmp_path, "--warehouse=none", "--shared_filesystem", runner=runner)
    assert said.startswith(f"--{flag}: {tmp_path / folder}: workers do not see")
    assert len(runner.asked) == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "the probes are gone"


def test_a_shared_disk_is_taken(tmp_path):
    runner = Remote()
    check_workers(runner, "event_enrichment", options(tmp_path, "--warehouse=none", "--shared_filesystem"))
    assert len(runner.asked) == 2


def test_on_one_machine_nobody_is_asked(tmp_path):
    here = Remote(remote=False)
    check_workers(here, "event_enrichment", options(tmp_path))
    assert not here.asked


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('java.io.IOException: Cannot run program "/x/python": error=2', UserError),
        ("ModuleNotFoundError: No module named 'ecompulse'", UserError),
        ("java.lang.IllegalStateException: SparkContext has been shutdown", JobError),
    ],
)
def test_workers_that_do_not_answer(tmp_path, said, kind):
    with pytest.raises(kind) as error:
        check_workers(
            Remote(failing=said), "event_enrichment", options(tmp_path, "--warehouse=none", "--shared_filesystem")
        )
    assert str(error.value) == f"--runner: PySparkRunner: no answer of workers: {said}"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "the probes are gone"


@pytest.mark.parametrize("home", [True, False])
def test_no_java(tmp_path, monkeypatch, home):
    pytest.importorskip("pyspark")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path)) if home else monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("pyspark.SparkContext._active_spark_context", None)
    with pytest.raises(UserError, match="Spark does not start: there is no Java"):
        check_workers(PySparkRunner(SparkSettings("local[1]")), "event_enrichment", options(tmp_path))


@pytest.mark.parametrize("text", ["foo", "local[x]", "local[0]", "spark://host", "http://host:7077", ""])
def test_a_master_that_is_none(tmp_path, text):
    with pytest.raises(UserError, match="--spark_master"):
        options(tmp_path, f"--spark_master={text}")


@pytest.mark.parametrize(
    "text", ["local", "local[*]", "local[2,3]", "spark://a:1,b:2", "spark://[::1]:7077", "k8s://https://h:6443", "yarn"]
)
def test_a_master_that_is_one(tmp_path, text):
    assert spark_of(options(tmp_path, f"--spark_master={text}")).master == text


def test_settings_of_spark(tmp_path):
    found = spark_of(options(tmp_path, "--spark_master=local[3]", "--spark_conf=spark.task.cpus=2", "--num_shards=6"))
    assert (found.master, found.parallelism, found.app_name) == ("local[3]", 6, "job")
    assert found.conf == {"spark.task.cpus": "2", "spark.executorEnv.POLARS_MAX_THREADS": "2"}
    fewer = spark_of(options(tmp_path, "--num_shards=200", "--spark_parallelism=8"))
    assert fewer.parallelism == 8


def spark_of(settings: Settings[JobSettings]) -> SparkSettings:
    return spark_settings("job", settings.spark, settings.epochs.num_shards or 4)


@pytest.mark.parametrize("text", ["spark.task.cpus", "task.cpus=2"])
def test_a_setting_that_is_none(tmp_path, text):
    with pytest.raises(UserError, match=r"--spark_conf: wants spark\.KEY=VALUE"):
        spark_of(options(tmp_path, f"--spark_conf={text}"))
