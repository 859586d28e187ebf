"""Small JSON files of a checkpoint: an object carries a digest of itself, and what is damaged is named."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.runs import digest

_DIGEST: Final = re.compile(rb', "sha256": "([0-9a-f]{64})"}$')


def sign(content: Mapping[str, Any]) -> bytes:
    """An object, which must not be empty, as JSON whose last member is the digest of all that stands before it."""
    body = json.dumps(content, sort_keys=True).encode()
    return body[:-1] + f', "sha256": "{digest(body)}"}}'.encode()


def read_record(store: Store, name: str) -> Any:
    """What `sign` was given, or other JSON; StateDamaged, naming the file, when it is not as it was written.

    FileNotFoundError when it is absent. An object without a digest, of an earlier version, is taken as it is.
    """
    try:
        return check(store.get(name))
    except ValueError as error:
        raise StateDamaged(f"{store.root}/{name} is damaged: {error}") from None


def check(data: bytes) -> Any:
    """The inverse of `sign`; ValueError for what is no JSON, or another object than was signed."""
    found = _DIGEST.search(data)
    if found is None:
        return json.loads(data)
    body = data[: found.start()] + b"}"
    if digest(body) != found[1].decode():
        raise ValueError("its content is not what was written")
    return json.loads(body)
