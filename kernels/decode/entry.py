"""The ways in."""

from enum import StrEnum

import polars as pl

from ecompulse.kernels.decode.assemble import Decoded, assemble
from ecompulse.kernels.decode.json_rows import json_batch
from ecompulse.kernels.decode.plan import plan_for
from ecompulse.kernels.mapping import Mapping


def decode_json(rows: pl.DataFrame, now_ms: int, mapping: Mapping | None = None) -> Decoded:
    """x"""
    plan = plan_for(mapping, now_ms, typed=True)
    return assemble(json_batch(rows, plan), plan)


class Form(StrEnum):
    A = "a"


decode = decode_csv = decode_columns = None
