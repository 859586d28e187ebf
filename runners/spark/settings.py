"""Settings of the runner."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SparkSettings:
    """How pipelines are run on Spark.

    Attributes:
        master: URL of the cluster (`local[2]`, `spark://host:7077`, `k8s://...`); None: what spark-submit or
            spark-defaults.conf says, else `local[*]`.
        conf: Spark's own settings, over those of spark-submit and spark-defaults.conf.
        parallelism: tasks of a stage; None: Spark's default parallelism. `spark.sql.shuffle.partitions` has no effect.
        app_name: as Spark's page shows it, where spark-submit gave none.
        log_level: of Spark's log, from the moment that the context is there.
    """

    master: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    parallelism: int | None = None
    app_name: str = "beam"
    log_level: str = "OFF"

    def __post_init__(self) -> None:
        """ValueError for a parallelism below 1."""
        if self.parallelism is not None and self.parallelism < 1:
            raise ValueError(f"parallelism: at least one task, not {self.parallelism}")
