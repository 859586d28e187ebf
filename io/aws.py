"""Faults of AWS, and of servers that speak like it: which may pass by themselves, and which wait for somebody."""

from typing import Final

_PASSING: Final = frozenset(
    {
        "InternalError", "InternalServerError", "LimitExceededException", "OperationAborted",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestTimeout", "ServiceUnavailable",
        "SlowDown", "Throttling", "ThrottlingException", "TransactionInProgressException",
    }
)  # fmt: skip
_SERVERS_FAULT: Final = 500
_TOO_MANY: Final = 429


def may_pass(error: BaseException) -> bool:
    """Whether an error of botocore's may be gone at the next attempt: no answer, a fault of the server, a throttle.

    All else waits for somebody: no such bucket or table, no access, no credentials, an address that is none.
    """
    from botocore.exceptions import (  # noqa: PLC0415  # an extra
        ClientError,
        ConnectionError,  # noqa: A004  # botocore's own
        CredentialRetrievalError,
        HTTPClientError,
        MetadataRetrievalError,
        SSLError,
    )

    if isinstance(error, ClientError):
        status = int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
        code = str(error.response["Error"].get("Code"))
        return status >= _SERVERS_FAULT or status == _TOO_MANY or code in _PASSING
    passing = ConnectionError | HTTPClientError | CredentialRetrievalError | MetadataRetrievalError
    return isinstance(error, passing) and not isinstance(error, SSLError)
