"""Imported before Beam, which says what it misses as it is imported: in a worker that is no user's business."""

import logging
import sys

if getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", None) in {"pyspark.daemon", "pyspark.worker"}:
    logging.getLogger().setLevel(logging.CRITICAL)  # until the pipeline is there, which brings the driver's level
