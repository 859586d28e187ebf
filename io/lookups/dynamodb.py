"""Look-ups in a DynamoDB table: BatchGetItem in hundreds, unprocessed keys asked for again."""

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import boto3
import polars as pl
import tenacity
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ecompulse.io.aws import may_pass
from ecompulse.io.lookups.store import LookupFailed, LookupSpec, check_options
from ecompulse.io.lookups.values import declared_columns, to_bytes, typed_rows

CHUNK: Final = 100
"""Keys of one BatchGetItem at the most."""

ATTEMPTS: Final = 8
"""Requests for the keys that a throttled table left unprocessed."""

FAILURES: Final = (BotoCoreError, ClientError)
_OPTIONS: Final = ("endpoint", "region")
_ANY_REGION: Final = "us-east-1"  # of servers that only speak the protocol
_LONGEST_KEY: Final = 2048  # bytes
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,37}")
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")

Item = Mapping[str, Mapping[str, Any]]


class DynamoStore:
    """A table whose partition key is the look-up's; texts, numbers and booleans of its items.

    The client is made when first needed, shared by the threads of a process, and not pickled. A value that does not
    fit the declared type, a list, map, set or binary among them, is null and its row `malformed`. Reads are
    eventually consistent.
    """

    def __init__(self, spec: LookupSpec) -> None:
        check_options(spec, _OPTIONS)
        self._spec = spec
        self._columns = declared_columns(spec)
        self._table = table_name(spec)
        self._lock = threading.Lock()
        self._client: Any = None
        self._numeric: bool | None = None

    def __getstate__(self) -> LookupSpec:
        return self._spec

    def __setstate__(self, spec: LookupSpec) -> None:
        self.__init__(spec)  # type: ignore[misc]  # clients do not travel

    @property
    def columns(self) -> pl.Schema:
        """As declared."""
        return self._columns

    def check(self) -> None:
        """Look at the table's key, and read one item, as the look-up will.

        Raises:
            ValueError: one line: no such table, another key, no access, no credentials.
            LookupFailed: it does not answer, for now.
        """
        try:
            self.fetch(pl.Series(["0"]))
        except LookupFailed as error:
            if error.__cause__ is not None and may_pass(error.__cause__):
                raise
            raise ValueError(str(error)) from None

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        """See Store; `CHUNK` keys per request."""
        try:
            client = self._connected()
            kind = self._kind_of_key(client)
            wanted = [key for key in keys if _can_be(key, kind)]
            items: list[Item] = []
            for start in range(0, len(wanted), CHUNK):
                items += self._get(client, [{self._spec.key: {kind: key}} for key in wanted[start : start + CHUNK]])
        except FAILURES as error:
            raise LookupFailed(f"{self._spec}: {' '.join(str(error).split())}") from error
        names = [str(item[self._spec.key][kind]) for item in items]
        texts = {name: [_text(item.get(name)) for item in items] for name in self._columns}
        wrong = [any(_other(item.get(name)) for name in self._columns) for item in items]
        return typed_rows(names, texts, self._columns, wrong)

    def abandon(self) -> None:
        """See RemoteStore; a request under way ends at its socket's time-out."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = connect(self._spec)
            return self._client

    def _kind_of_key(self, client: Any) -> str:
        if self._numeric is None:
            self._numeric = key_kind(client, self._table, self._spec.key) == "N"
        return "N" if self._numeric else "S"

    def _get(self, client: Any, keys: Sequence[Item]) -> list[Item]:
        names = {f"#c{at}": name for at, name in enumerate(dict.fromkeys([self._spec.key, *self._columns]))}
        request = {"Keys": keys, "ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        found: list[Item] = []
        left: Any = {self._table: request}
        for attempt in patient(f"{self._spec}: keys are left unprocessed: the table is throttled"):
            with attempt:
                answer = client.batch_get_item(RequestItems=left)
                found += answer["Responses"].get(self._table, [])
                left = answer.get("UnprocessedKeys")
                if left:
                    raise Unprocessed
        return found


class Throttled(LookupFailed):
    """A part of a batch was left again and again; later it may not be."""


class Unprocessed(Exception):  # noqa: N818  # a reason to ask again
    """A part of a batch was left for later."""


def patient(complaint: str) -> tenacity.Retrying:
    """Attempts with growing, random pauses while a part is `Unprocessed`; Throttled when that does not end."""

    def give_up(_state: tenacity.RetryCallState) -> None:
        raise Throttled(complaint)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unprocessed),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
        retry_error_callback=give_up,
    )


def open_dynamodb(spec: LookupSpec) -> DynamoStore:
    """`dynamodb://users?key=user_id&region=eu-central-1`; credentials as boto3 finds them."""
    return DynamoStore(spec)


def table_name(spec: LookupSpec) -> str:
    """The table that a spec names; ValueError for what cannot be one."""
    name = spec.location.strip("/")
    if not _TABLE.fullmatch(name):
        raise ValueError(f"{spec}: write dynamodb://TABLE?key=COLUMN")
    return name


def connect(spec: LookupSpec) -> Any:
    """A client that neither retries nor waits by itself."""
    endpoint, region = spec.options.get("endpoint"), spec.options.get("region")
    session = boto3.Session(region_name=region)
    if session.region_name is None and endpoint:
        session = boto3.Session(region_name=_ANY_REGION)
    config = Config(connect_timeout=spec.timeout, read_timeout=spec.timeout, retries={"total_max_attempts": 1})
    return session.client("dynamodb", endpoint_url=endpoint, config=config)


def key_kind(client: Any, table: str, key: str) -> str:
    """`S` or `N`: the type of the table's partition key; LookupFailed when that is not `key` alone."""
    described = client.describe_table(TableName=table)["Table"]
    names = [part["AttributeName"] for part in described["KeySchema"]]
    if names != [key]:
        raise LookupFailed(f"dynamodb://{table}: its key is {', '.join(names)}, not {key}")
    kinds = {part["AttributeName"]: str(part["AttributeType"]) for part in described["AttributeDefinitions"]}
    if kinds[key] not in ("S", "N"):
        raise LookupFailed(f"dynamodb://{table}: its key {key} is binary; it must be text or a number")
    return kinds[key]


def _can_be(key: str, kind: str) -> bool:
    """Whether the table could hold it: DynamoDB refuses the whole batch for one key that it could not."""
    if kind == "N":
        return _NUMBER.fullmatch(key) is not None
    return 0 < len(key.encode()) <= _LONGEST_KEY


def _text(value: Mapping[str, Any] | None) -> bytes | None:
    if value is None or _other(value) or "NULL" in value:
        return None
    kind, found = next(iter(value.items()))
    return (b"true" if found else b"false") if kind == "BOOL" else to_bytes(str(found))


def _other(value: Mapping[str, Any] | None) -> bool:
    return value is not None and not set(value) <= {"S", "N", "BOOL", "NULL"}
