"""S3 and what speaks its protocol, as a store: a checkpoint, a backup or the files of a lake in a bucket."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ecompulse.epochs.errors import JobError, Unusable, UserError
from ecompulse.io.aws import may_pass

TEMPORARY: Final = ".tmp-"
"""Start of the last part of names that are no content: `list` leaves them out."""

_PROBE: Final = f"{TEMPORARY}probe"
_WRITER: Final = "writer"
_DELETED_AT_ONCE: Final = 1000  # keys; S3's own limit
_CONFLICT: Final = "409"
_TAKEN: Final = "412"
_GONE: Final = "404"
_REASONS: Final = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "access denied",
    "403": "access denied",
    "InvalidAccessKeyId": "the credentials are not accepted",
    "SignatureDoesNotMatch": "the credentials are not accepted",
    "InvalidToken": "the credentials are not accepted",
    "ExpiredToken": "the credentials have expired",
}
_BOUNDS: Final = {"connect_timeout": "5s", "timeout": "60s", "max_retries": "4", "retry_timeout": "60s"}
"""Of one request of deltalake's; the driver tries the whole publication again."""


class StoreError(JobError):
    """The bucket does not answer, or has a fault of its own; it may be over soon. One line, without credentials."""


class StoreRefused(StoreError, Unusable):  # noqa: N818  # it has refused
    """The bucket is not there, or closed to us."""


@dataclass(frozen=True)
class S3Store:
    """Objects below `s3://bucket/prefix`; picklable, each process makes its own client.

    Write once is `If-None-Match: *`. Each object carries the identity of the call that wrote it: when a PUT is
    answered 412, the object that is there may be our own, of a request whose answer was lost and which was sent
    again. Its identity says so. A conflict of two such PUTs (409) is tried again.

    Attributes:
        root: `s3://bucket/prefix`, without a slash at its end.
        endpoint: URL of a server other than AWS.
    """

    root: str
    endpoint: str | None = None

    def create(self, name: str, data: bytes) -> bool:
        """Write once; False, and nothing written, when another call has written the name."""
        identity = uuid.uuid4().hex
        with self._reported(name):
            try:
                for attempt in _patiently():
                    with attempt:
                        self._put(name, data, IfNoneMatch="*", Metadata={_WRITER: identity})
            except Exception as error:
                if _status(error) != _TAKEN:
                    raise
                return self._writer(name) == identity
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write or replace; readers see the old object or the new one."""
        with self._reported(name):
            self._put(name, data)

    def get(self, name: str) -> bytes:
        """Content; FileNotFoundError when absent."""
        with self._reported(name):
            found: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
            return found

    def folders(self) -> list[str]:
        """Names of the folders right below the root, sorted."""
        below, found = self._key(""), []
        with self._reported(""):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=below, Delimiter="/"):
                found += [entry["Prefix"][len(below) : -1] for entry in page.get("CommonPrefixes", ())]
        return sorted(found)

    def list(self, prefix: str) -> list[str]:
        """Names below the folder, sorted."""
        start, found = self._key(prefix).rstrip("/"), []
        below = f"{start}/" if start else ""
        cut = len(self._key(""))
        with self._reported(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=below):
                found += [entry["Key"][cut:] for entry in page.get("Contents", ())]
        return sorted(name for name in found if not name.rpartition("/")[2].startswith(TEMPORARY))

    def delete(self, names: Sequence[str]) -> None:
        """Remove; absent names are no error."""
        for start in range(0, len(names), _DELETED_AT_ONCE):
            keys = [{"Key": self._key(name)} for name in names[start : start + _DELETED_AT_ONCE]]
            with self._reported(""):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
            for wrong in answer.get("Errors", ()):
                raise StoreError(f"s3://{self._bucket}/{wrong['Key']}: {_REASONS.get(wrong['Code'], wrong['Code'])}")

    def age(self, name: str) -> float:
        """Seconds since the object was written, both times by the server's clock."""
        with self._reported(name):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        written: datetime = answer["LastModified"]
        return (parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) - written).total_seconds()

    def stamp(self, name: str) -> str:
        """What is another when the object was written again; empty when there is none."""
        try:
            with self._reported(name):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except FileNotFoundError:
            return ""
        return f"{answer['LastModified'].isoformat()} {answer['ETag']}"

    def check(self, *, writable: bool) -> None:
        """StoreError when the bucket cannot be listed and, if asked for, written to and deleted from."""
        with self._reported(""):
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._key(""), MaxKeys=1)
        if writable:
            self.put(_PROBE, b"")
            self.delete([_PROBE])

    def _put(self, name: str, data: bytes, **conditions: Any) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=data, **conditions)

    def _writer(self, name: str) -> str | None:
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except Exception as error:
            if _status(error) == _GONE:
                return None
            raise
        found: str | None = head["Metadata"].get(_WRITER)
        return found

    @property
    def _bucket(self) -> str:
        return self.root.removeprefix("s3://").partition("/")[0]

    @property
    def _client(self) -> Any:
        return _client(self.endpoint, os.getpid())

    def _key(self, name: str) -> str:
        prefix = self.root.removeprefix("s3://").partition("/")[2]
        return f"{prefix}/{name}" if prefix else name

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        """FileNotFoundError for an absent object, StoreError for all else that S3 or the way to it has to say."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # an extra

        where = f"{self.root}/{name}".rstrip("/")
        try:
            yield
        except ClientError as error:
            code = str(error.response["Error"].get("Code"))
            if code == "NoSuchKey" or (code == _GONE and name):
                raise FileNotFoundError(where) from None
            said = str(error.response["Error"].get("Message") or code).splitlines()[0]
            raise _fault(error)(f"{where}: {_REASONS.get(code, said)}") from error
        except BotoCoreError as error:
            raise _fault(error)(f"{where}: {' '.join(str(error).split()).rstrip('.')}") from error


def open_s3(uri: str, endpoint: str | None) -> S3Store:
    """The store for `s3://bucket/prefix`; UserError for a URI without a bucket, or when boto3 is not installed."""
    if not uri.removeprefix("s3://").partition("/")[0]:
        raise UserError(f"{uri}: names no bucket; write s3://BUCKET/PREFIX")
    try:
        import boto3  # noqa: F401, PLC0415  # an extra
    except ImportError:
        raise UserError(f"{uri}: needs boto3: pip install 'ecompulse[aws]'") from None
    return S3Store(uri.rstrip("/"), endpoint)


def storage_options(root: str, endpoint: str | None) -> dict[str, str] | None:
    """Storage options of deltalake for tables in a bucket: commits are conditional PUTs, no lock table is needed.

    None for tables in a directory.
    """
    if not root.startswith("s3://"):
        return None
    return {"aws_conditional_put": "etag", **address_options(endpoint), **_BOUNDS}


def address_options(endpoint: str | None) -> dict[str, str]:
    """Storage options of deltalake and Polars that say where S3 is, when it is not AWS."""
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None:
        return {}
    return {"aws_endpoint_url": endpoint, "aws_allow_http": str(endpoint.startswith("http://")).lower()}


@lru_cache(maxsize=8)
def _client(endpoint: str | None, _process: int) -> Any:
    """One client per process: threads share it, forks must not."""
    import boto3  # noqa: PLC0415  # an extra, and slow to import
    from botocore.config import Config  # noqa: PLC0415

    settings = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=32,
        # Servers that are not AWS may not know the newer checksums.
        request_checksum_calculation="when_required" if endpoint else "when_supported",
        response_checksum_validation="when_required" if endpoint else "when_supported",
    )
    session = boto3.session.Session()
    region = session.region_name or ("us-east-1" if endpoint else None)
    return session.client("s3", endpoint_url=endpoint, region_name=region, config=settings)


def _fault(error: Exception) -> type[StoreError]:
    return StoreError if may_pass(error) else StoreRefused


def _patiently() -> Retrying:
    return Retrying(
        retry=retry_if_exception(lambda error: _status(error) == _CONFLICT),
        stop=stop_after_attempt(10),
        wait=wait_random_exponential(0.05, max=2),
        reraise=True,
    )


def _status(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    return str(response["ResponseMetadata"]["HTTPStatusCode"]) if response else None
