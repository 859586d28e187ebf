"""Decoding: raw rows become columns of events, and each bad row one dead letter."""

from ecompulse.kernels.decode.api import Form, decode, decode_columns, decode_csv, decode_json
from ecompulse.kernels.decode.assemble import Decoded
from ecompulse.kernels.decode.rules import Rule

__all__ = ["Decoded", "Form", "Rule", "decode", "decode_columns", "decode_csv", "decode_json"]
