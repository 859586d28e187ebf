"""How a job runs, on which engine, and what it shows."""

from dataclasses import dataclass
from typing import Literal

from ecompulse.cli.flags import flag, switch
from ecompulse.cli.settings.groups import RUN, SPARK
from ecompulse.cli.values import count, duration, spark_master, spark_setting


@dataclass(frozen=True)
class Running:
    """How the job runs and what it shows."""

    config: str | None = flag(
        RUN, "YAML file of flags (`source: ...`); a flag on the command line wins", metavar="FILE"
    )
    plugin: tuple[str, ...] = flag(
        RUN,
        "module that registers sinks, sources, steps or measures of your own, imported first; may be given more than "
        "once (tools and workers take ECOMPULSE_PLUGINS)",
        (),
        many=True,
        metavar="MODULE",
    )
    check: bool = switch(RUN, "validate flags, mapping and files, decode 100 rows, show them, touch nothing")
    progress: Literal["auto", "json", "line", "none"] = flag(
        RUN,
        "a live line on a terminal and JSON lines elsewhere, or always one of them, or none",
        "auto",
        choices=("auto", "json", "line", "none"),
    )
    metrics_port: str | None = flag(
        RUN, "port for Prometheus (/metrics) and probes (/livez, /readyz)", metavar="[HOST:]PORT", shown="off"
    )
    metrics_host: str | None = flag(
        RUN,
        "address that it listens on; 0.0.0.0 is every one of this machine, to whoever can reach it",
        metavar="ADDRESS",
        shown="127.0.0.1",
    )
    stuck_after: int = flag(
        RUN,
        "silence from which /livez says that the job is stuck; longer than the longest step of an epoch takes",
        600_000,
        parse=duration,
        metavar="DURATION",
    )
    runner: str = flag(
        RUN,
        "Beam runner: LocalRunner (in this process, all cores), DirectRunner (Beam's own in one process), PrismRunner, "
        "PySparkRunner (ours, on Spark)",
        "LocalRunner",
        metavar="RUNNER",
    )


@dataclass(frozen=True)
class Spark:
    """How the job runs on Spark."""

    spark_master: str | None = flag(
        SPARK,
        "URL of the cluster: local[2], spark://HOST:7077",
        parse=spark_master,
        metavar="URL",
        shown="spark-submit's, or local[*]",
    )
    spark_conf: tuple[tuple[str, str], ...] = flag(
        SPARK,
        "over what spark-submit and spark-defaults.conf say; may be given more than once",
        (),
        parse=spark_setting,
        many=True,
        metavar="spark.KEY=VALUE",
    )
    spark_parallelism: int | None = flag(SPARK, "tasks of a stage", parse=count, metavar="TASKS", shown="--num_shards")
    shared_filesystem: bool = switch(
        SPARK,
        "all workers see the folders of --source, --checkpoint and --lake, under the same paths; one is asked at start",
    )
