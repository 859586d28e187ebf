"""Models as bytes: arrays and plain facts with a checksum; nothing in them is executed when they are read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

_MAGIC: Final = b"ecompulse model 1\n"
_DIGEST: Final = 32
_KINDS: Final = frozenset({"float32", "float64", "int64", "uint8"})


class ArtefactError(ValueError):
    """Bytes that are no model, or another one than was expected."""


def dump_artefact(kind: str, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """One blob: a header (JSON) that names kind, facts and arrays, the arrays' bytes, SHA-256 before both."""
    arrays = dict(sorted(arrays.items()))
    shapes = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
    header = json.dumps({"kind": kind, "facts": facts, "arrays": shapes}, sort_keys=True).encode() + b"\n"
    body = header + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return _MAGIC + hashlib.sha256(body).digest() + body


def load_artefact(kind: str, blob: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and arrays of a blob.

    Raises:
        ArtefactError: it is damaged, cut short, or of another kind.
    """
    header, rest = _opened(blob)
    if header["kind"] != kind:
        raise ArtefactError(f"the model is a {header['kind']}, not a {kind}")
    arrays, at = {}, 0
    for name in sorted(header["arrays"]):
        dtype, shape = header["arrays"][name]
        if dtype not in _KINDS:
            raise ArtefactError(f"the model's {name} is of {dtype}")
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if len(rest) - at < size:
            raise ArtefactError(f"the model's {name} is cut short")
        arrays[name] = np.frombuffer(rest[at : at + size], dtype).reshape(shape).copy()
        at += size
    return header["facts"], arrays


def kind_of(blob: bytes) -> str:
    """The kind that a blob names; ArtefactError if it is damaged."""
    return str(_opened(blob)[0]["kind"])


def _opened(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and arrays of a blob whose checksum is right."""
    start = len(_MAGIC) + _DIGEST
    body = blob[start:]
    if blob[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != blob[len(_MAGIC) : start]:
        raise ArtefactError("the model is damaged, or was written by something else")
    line, _, rest = body.partition(b"\n")
    return json.loads(line), rest
