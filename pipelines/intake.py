"""What all jobs begin with: rows decoded, dead letters and data quality written, events enriched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import TableSpec
from ecompulse.io.lookups.resources import open_resources
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.decode import decode
from ecompulse.kernels.decode.dead_letters import DEAD_LETTERS_SCHEMA
from ecompulse.kernels.enrich.config import EnrichConfig, load_enrich
from ecompulse.kernels.enrich.enrichment import enriched_schema
from ecompulse.kernels.event import FRAME_SCHEMA
from ecompulse.kernels.mapping import Mapping, load_mapping
from ecompulse.kernels.quality import QUALITY_SCHEMA, SumQuality
from ecompulse.kernels.step import Kernel
from pipelines.flags import Flag, Options

if TYPE_CHECKING:
    from ecompulse.epochs.scope import Scope

DEAD_LETTERS: Final = TableSpec("dead_letters", DEAD_LETTERS_SCHEMA, "seen_at")
DATA_QUALITY: Final = TableSpec("data_quality", QUALITY_SCHEMA, "window_start", warehouse=True)
