"""Look-ups in Redis: one hash, or one text of JSON, per key."""

import json
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl
import redis

from ecompulse.io.lookups.redis_connections import Wires, connect, connection_settings
from ecompulse.io.lookups.store import LookupFailed, LookupSpec, check_options
from ecompulse.io.lookups.values import declared_columns, to_bytes, typed_rows

CHUNK: Final = 1_000
"""Keys per round trip."""

_CLIENTS: Final = 16  # whose connections may still be waited on: there is a new one after every failure
_FORMS: Final = ("hash", "json")
_PLACE: Final = "{key}"
_OPTIONS: Final = ("pattern", "as", "user", "password", "ca", "certificate", "certificate_key")
_FAILURES: Final = (redis.RedisError, OSError, ValueError, TypeError, LookupError, AttributeError)
# RedisError, or what its parser makes of an answer that is none, or of a connection closed under it.


class RedisStore:
    """Hashes (HMGET, pipelined) or texts of JSON objects (MGET) by key pattern; one server, no cluster.

    Connections are made when first needed, shared by the threads of a process, and not pickled. A value that does
    not fit the declared type is null and its row `malformed`, as is a key that holds something else than a hash.
    """

    def __init__(self, spec: LookupSpec) -> None:
        check_options(spec, _OPTIONS)
        self._spec = spec
        self._columns = declared_columns(spec)
        self._pattern = spec.options.get("pattern", "")
        self._form = spec.options.get("as", "hash")
        if self._pattern.count(_PLACE) != 1:
            raise ValueError(f"{spec}: give pattern=user:{_PLACE}, with {_PLACE} once, where the key's text goes")
        if self._form not in _FORMS:
            raise ValueError(f"{spec}: as={self._form}: is neither hash nor json")
        self._settings = connection_settings(spec)
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._wires: deque[Wires] = deque(maxlen=_CLIENTS)

    def __getstate__(self) -> LookupSpec:
        return self._spec

    def __setstate__(self, spec: LookupSpec) -> None:
        self.__init__(spec)  # type: ignore[misc]  # connections do not travel

    @property
    def columns(self) -> pl.Schema:
        """As declared."""
        return self._columns

    def check(self) -> None:
        """Read one key, as the look-up will.

        Raises:
            ValueError: one line: no access, no such database.
            LookupFailed: there is no server, for now.
        """
        try:
            self.fetch(pl.Series(["ecompulse-check"]))
        except LookupFailed as error:
            if may_pass(error.__cause__):
                raise
            raise ValueError(str(error)) from None

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """See Store; `CHUNK` keys per round trip."""
        read = self._hashes if self._form == "hash" else self._texts
        try:
            parts = [read(self._connected(), chunk) for chunk in chunks(keys.to_list())]
        except _FAILURES as error:
            self._close()  # after a rubbish answer nobody knows where the next one begins
            raise LookupFailed(f"{self._spec}: {failure(error)}") from error
        return pl.concat(parts) if parts else typed_rows([], {name: [] for name in self._columns}, self._columns)

    def abandon(self) -> None:
        """See RemoteStore."""
        with self._lock:
            wires, self._client = list(self._wires), None
            self._wires.clear()
        for each in wires:
            each.cut()

    def _connected(self) -> redis.Redis:
        with self._lock:
            if self._client is None:
                self._wires.append(Wires())
                self._client = connect(self._settings, self._wires[-1])
            return self._client

    def _close(self) -> None:
        """Have new connections from here on; those that are in use go on to their end."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect(inuse_connections=False)

    def _hashes(self, client: redis.Redis, keys: Sequence[str]) -> pl.DataFrame:
        names = list(self._columns)
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(self._name(key), names)
        answers = [_good(answer) for answer in pipeline.execute(raise_on_error=False)]
        empty = [at for at, answer in enumerate(answers) if answer is not None and not any_value(answer)]
        absent = self._absent(client, keys, empty)
        rows = [(key, answers[at]) for at, key in enumerate(keys) if at not in absent]
        texts = {name: [values[at] if values else None for _, values in rows] for at, name in enumerate(names)}
        wrong = [values is None for _, values in rows]
        return typed_rows([key for key, _ in rows], texts, self._columns, wrong)

    def _absent(self, client: redis.Redis, keys: Sequence[str], empty: Sequence[int]) -> set[int]:
        """Which of the hashes without any wanted field do not exist at all."""
        if not empty:
            return set()
        pipeline = client.pipeline(transaction=False)
        for at in empty:
            pipeline.exists(self._name(keys[at]))
        return {at for at, there in zip(empty, pipeline.execute(), strict=True) if not there}

    def _texts(self, client: redis.Redis, keys: Sequence[str]) -> pl.DataFrame:
        found = zip(keys, client.mget([self._name(key) for key in keys]), strict=True)
        rows = [(key, read_object(value)) for key, value in found if value is not None]
        texts = {name: [_plain(values, name) for _, values in rows] for name in self._columns}
        wrong = [values is None or _nested(values, self._columns) for _, values in rows]
        return typed_rows([key for key, _ in rows], texts, self._columns, wrong)

    def _name(self, key: str) -> str:
        return self._pattern.replace(_PLACE, key)


def open_redis(spec: LookupSpec) -> RedisStore:
    """`redis://host:6379/0?pattern=user:{key}&as=hash&user=shop&password=env:NAME`, and `rediss:` with TLS."""
    return RedisStore(spec)


def chunks(items: Sequence[str], size: int = CHUNK) -> Iterator[Sequence[str]]:
    """Parts of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def failure(error: BaseException) -> str:
    """One line on what went wrong; never the bytes of an answer, which may be anybody's."""
    if isinstance(error, redis.InvalidResponse):
        return "an answer that is not Redis's"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def may_pass(error: BaseException | None) -> bool:
    """Whether an error may be gone at the next attempt: nobody answers, as long as it is not for what we sent."""
    refused = redis.AuthenticationError | ssl.SSLError
    chain = (error, getattr(error, "__cause__", None), getattr(error, "__context__", None))
    passing = isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)
    return passing and not any(isinstance(each, refused) for each in chain)


def read_object(value: bytes | str) -> dict[str, Any] | None:
    """A JSON object with its numbers as texts, digit for digit; None for what is none."""
    try:
        found = json.loads(value, parse_float=str, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def any_value(values: Sequence[object]) -> bool:
    """Whether one of them is there."""
    return any(value is not None for value in values)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _good(answer: Any) -> list[bytes | None] | None:
    """The fields; None for a key that holds no hash. Any other error of a command is raised."""
    if isinstance(answer, redis.ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    if isinstance(answer, Exception):
        raise answer
    if not isinstance(answer, list):
        raise TypeError(f"HMGET was answered with {type(answer).__name__}")
    return answer


def _plain(values: Mapping[str, Any] | None, name: str) -> bytes | None:
    value = None if values is None else values.get(name)
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return to_bytes(value) if isinstance(value, str) else None


def _nested(values: Mapping[str, Any], columns: pl.Schema) -> bool:
    return any(isinstance(values.get(name), dict | list) for name in columns)
