"""Encryption of a checkpoint and its backup at rest: a store that encrypts what another one keeps."""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ecompulse.epochs.errors import StateDamaged, UserError
from ecompulse.epochs.protocols import ENCRYPTED, Store
from ecompulse.io.s3 import S3Store
from ecompulse.io.secrets import read_secret
from ecompulse.io.stores import LocalStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY: Final = 32  # bytes: AES-256
_NONCE: Final = 12
_MARK: Final = 8  # bytes that tell one key from another
_HEADER: Final = len(ENCRYPTED) + _MARK + _NONCE
_HOW: Final = "`openssl rand -base64 32` makes one"


def encrypted(store: Store, sources: Sequence[str], flag: str = "checkpoint_key") -> Store:
    """The store, through encryption if keys are named; UserError, naming the flag, for a key that is none."""
    if not sources:
        return store
    found = EncryptedStore(store, tuple(sources), flag)
    _ = found.keys  # a wrong key is told before anything is read
    return found


def below(store: Store, folder: str) -> Store:
    """The store of a folder of an encrypted or a bare one."""
    if isinstance(store, EncryptedStore):
        return replace(store, inner=below(store.inner, folder), folder=f"{store.folder}{folder}/")
    if not isinstance(store, LocalStore | S3Store):
        raise TypeError(f"{store!r} has no folders")
    return replace(store, root=f"{store.root}/{folder}")


def bare(store: Store) -> Store:
    """The store that keeps the bytes."""
    return store.inner if isinstance(store, EncryptedStore) else store


@dataclass(frozen=True)
class EncryptedStore:
    """A store whose contents are encrypted and authenticated (AES-256-GCM); names, sizes and ages are not hidden.

    The name of a blob is bound to its content, so that one that was changed, or put in the place of another, is
    StateDamaged. An older content of the same name, and a blob of another checkpoint with the same key and name, pass:
    seals and their hashes notice those. Nonces are random: one key is good for four thousand million blobs.

    Pickled are the places of the keys, never the keys: each worker reads them for itself, once.

    Attributes:
        inner: the store that keeps the bytes.
        sources: where the keys stand (see `secret_place`); the first one encrypts, all decrypt.
        flag: that named them.
        folder: of `inner` within the checkpoint, with a slash at its end, if it is a part of one.
    """

    inner: Store
    sources: tuple[str, ...]
    flag: str = "checkpoint_key"
    folder: str = ""

    @property
    def root(self) -> str:
        """Of the store that keeps the bytes."""
        return self.inner.root

    @cached_property
    def keys(self) -> Mapping[bytes, "AESGCM"]:
        """The ciphers by mark, the one that encrypts first; UserError for a key that is none."""
        return dict(self._cipher(source) for source in self.sources)

    def create(self, name: str, data: bytes) -> bool:
        """See Store."""
        return self.inner.create(name, self._encrypt(name, data))

    def put(self, name: str, data: bytes) -> None:
        """See Store."""
        self.inner.put(name, self._encrypt(name, data))

    def get(self, name: str) -> bytes:
        """See Store; StateDamaged for what was changed, UserError for what none of the keys encrypted."""
        return self._decrypt(name, self.inner.get(name))

    def list(self, prefix: str) -> list[str]:
        """See Store."""
        return self.inner.list(prefix)

    def delete(self, names: Sequence[str]) -> None:
        """See Store."""
        self.inner.delete(names)

    def age(self, name: str) -> float:
        """See Store."""
        return self.inner.age(name)

    def __getstate__(self) -> dict[str, Any]:
        """Without the keys."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _cipher(self, source: str) -> tuple[bytes, "AESGCM"]:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # slow to import

        try:
            text = read_secret(source)
        except ValueError as error:
            raise UserError(f"--{self.flag}: {error}") from None
        try:
            key = base64.b64decode(text.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY:
            raise UserError(f"--{self.flag}: {source} holds no key of {_KEY} bytes in base64; {_HOW}")
        return sha256(b"ecompulse mark of a key" + key).digest()[:_MARK], AESGCM(key)

    def _encrypt(self, name: str, data: bytes) -> bytes:
        mark, cipher = next(iter(self.keys.items()))
        nonce = os.urandom(_NONCE)
        header = ENCRYPTED + mark + nonce
        return header + cipher.encrypt(nonce, data, self._bound(header, name))

    def _decrypt(self, name: str, data: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # slow to import

        header, content = data[:_HEADER], data[_HEADER:]
        if not header.startswith(ENCRYPTED) or len(header) < _HEADER:
            raise UserError(
                f"--{self.flag}: {self.root}/{name} is not encrypted; leave the flag out, or encrypt the whole with "
                "`python -m pipelines.checkpoint restore PLACE --to=NEW --to_key=...`"
            )
        cipher = self.keys.get(header[len(ENCRYPTED) : -_NONCE])
        if cipher is None:
            raise UserError(f"--{self.flag}: {self.root}/{name} was encrypted with another key")
        try:
            return cipher.decrypt(header[-_NONCE:], content, self._bound(header, name))
        except InvalidTag:
            raise StateDamaged(f"{self.root}/{name} is damaged: it was changed, or belongs elsewhere") from None

    def _bound(self, header: bytes, name: str) -> bytes:
        return header + f"{self.folder}{name}".encode()
