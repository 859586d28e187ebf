"""Small JSON files of a checkpoint: an object carries its own digest, and an error names a damaged file."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.protocols import Store
from ecompulse.epochs.runs import digest

_DIGEST: Final = re.compile(rb', "sha256": "([0-9a-f]{64})"}$')


def sign(content: Mapping[str, Any]) -> bytes:
    """A non-empty object as JSON whose last member is the digest of everything before it."""
    body = json.dumps(content, sort_keys=True).encode()
    return body[:-1] + f', "sha256": "{digest(body)}"}}'.encode()


def read_record(store: Store, name: str) -> Any:
    """The object given to `sign`, or other JSON; StateDamaged, naming the file, when the file was changed.

    FileNotFoundError when it is absent. An object without a digest, from an earlier version, is accepted unchecked.
    """
    try:
        return check(store.get(name))
    except ValueError as error:
        raise StateDamaged(f"{store.root}/{name} is damaged: {error}") from None


def check(data: bytes) -> Any:
    """The inverse of `sign`; ValueError for data that is not JSON, or is not the signed object."""
    found = _DIGEST.search(data)
    if found is None:
        return json.loads(data)
    body = data[: found.start()] + b"}"
    if digest(body) != found[1].decode():
        raise ValueError("its content is not what was written")
    return json.loads(body)
