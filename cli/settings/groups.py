"""Headings of flags in --help."""

from typing import Final

INPUT: Final = "input"
OUTPUT: Final = "output"
TIME: Final = "time"
EPOCHS: Final = "epochs and state"
ALERTS: Final = "alerts"
RUN: Final = "running"
SPARK: Final = "Spark (--runner=PySparkRunner)"
JOINS: Final = "deduplication and joins"
