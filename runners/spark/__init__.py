"""`PySparkRunner`: bounded Beam pipelines on Spark; see docs/spark.md."""

from ecompulse.runners.spark import hush as _hush  # noqa: F401  # first: it changes how the others are imported
from ecompulse.runners.spark.runner import PySparkRunner
from ecompulse.runners.spark.settings import SparkSettings
from ecompulse.runners.spark.stamps import Recomputed
from ecompulse.runners.spark.supported import Unsupported

__all__ = ["PySparkRunner", "Recomputed", "SparkSettings", "Unsupported"]
