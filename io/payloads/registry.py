"""A schema registry, by the API that Confluent documents and that Karapace, Apicurio and Redpanda have too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.kafka.settings import ClientSettings

if TYPE_CHECKING:
    import requests

FLAG: Final = "--schema_registry"
AVRO: Final = "AVRO"
JSON: Final = "JSON"
PROTOBUF: Final = "PROTOBUF"
_SECONDS: Final = 10
_ATTEMPTS: Final = 4
_NOT_FOUND: Final = 404
_ERROR: Final = 400
_BUSY: Final = frozenset((408, 429, 500, 502, 503, 504))


class UnknownSchema(LookupError):  # noqa: N818  # of a producer
    """The registry has no such schema."""


class _Again(Exception):  # noqa: N818  # a call is made again
    """The registry does not answer now."""


@dataclass(frozen=True)
class Registered:
    """A schema.

    Attributes:
        kind: AVRO, JSON or PROTOBUF.
        text: of it.
        named: texts of schemas that it refers to, by the name by which it does.
    """

    kind: str
    text: str
    named: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """A registry; schemas are asked for once in a process, for an id never changes its meaning.

    Attributes:
        url: of it.
        settings: `schema.registry.*` of `--kafka_config`: login, and files of TLS.
    """

    url: str
    settings: ClientSettings = field(default_factory=ClientSettings)

    def schema(self, key: int | str) -> Registered:
        """The schema of an id, or of a GUID; UnknownSchema, or JobError where the registry gives no answer."""
        known = _schemas.get((self.url, key))
        if known is None:
            path = f"/schemas/guids/{quote(key)}" if isinstance(key, str) else f"/schemas/ids/{key}"
            known = self._registered(self._get(path))
            _schemas[self.url, key] = known
        return known

    def descriptors(self, key: int | str) -> list[tuple[str, str]]:
        """Name and descriptor (base64) of a Protobuf schema's file, last, and of those that it refers to."""
        path = f"/schemas/guids/{quote(key)}" if isinstance(key, str) else f"/schemas/ids/{key}"
        found = self._get(f"{path}?format=serialized")
        files: dict[str, str] = {}
        self._collect(found.get("references") or (), files, "?format=serialized")
        return [*reversed(files.items()), ("", found["schema"])]

    def check(self) -> None:
        """UserError for a registry that refuses us, JobError for one that does not answer."""
        self._get("/subjects")

    def register(self, subject: str, kind: str, text: str) -> int:
        """The id of a schema under a subject, registered if it is not; UserError when it does not fit those before."""
        body = {"schema": text, **({} if kind == AVRO else {"schemaType": kind})}
        found = self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
        return int(found["id"])

    def _registered(self, found: Any) -> Registered:
        named: dict[str, str] = {}
        self._collect(found.get("references") or (), named)
        return Registered(found.get("schemaType") or AVRO, found["schema"], named)

    def _collect(self, references: Any, named: dict[str, str], query: str = "") -> None:
        for each in references:
            if each["name"] not in named:
                path = f"/subjects/{quote(each['subject'], safe='')}/versions/{each['version']}{query}"
                found = self._get(path)
                named[each["name"]] = found["schema"]
                self._collect(found.get("references") or (), named, query)

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential_jitter(initial=0.2, max=5),
            retry=retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, body)
        except _Again as error:
            raise JobError(f"{FLAG}: {self.url}: {error}") from None

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            url = self.url.rstrip("/") + path
            # `verify` of a session would give way to what the environment says.
            answer = self._session.request(method, url, json=body, timeout=_SECONDS, verify=self._session.verify)
        except OSError as error:  # which all errors of requests are
            raise _Again(_reason(error)) from None
        if answer.status_code in _BUSY:
            raise _Again(f"answers {answer.status_code}")
        if answer.status_code == _NOT_FOUND:
            raise UnknownSchema(f"{self.url} has no {path.strip('/').replace('/', ' ')}")
        if answer.status_code >= _ERROR:
            raise UserError(f"{FLAG}: {self.url}{path}: {answer.status_code} {_message(answer)}")
        try:
            return answer.json()
        except ValueError:
            raise UserError(f"{FLAG}: {self.url}{path}: is no schema registry: answers no JSON") from None

    @cached_property
    def _session(self) -> "requests.Session":
        import requests  # noqa: PLC0415  # slow to import, and most jobs need no registry

        session, given = requests.Session(), self.settings.registry()
        login = given.get("basic.auth.user.info", "")
        if login:
            name, _, password = login.partition(":")
            session.auth = (name, password)
        session.verify = given.get("ssl.ca.location", True)
        if "ssl.certificate.location" in given:
            certificate = given["ssl.certificate.location"]
            session.cert = (certificate, given["ssl.key.location"]) if "ssl.key.location" in given else certificate
        session.headers["Accept"] = "application/vnd.schemaregistry.v1+json, application/json"
        return session

    def __reduce__(self) -> tuple[type["Registry"], tuple[str, ClientSettings]]:
        return type(self), (self.url, self.settings)


_schemas: dict[tuple[str, int | str], Registered] = {}


def forget() -> None:
    """Ask for schemas anew."""
    _schemas.clear()


def _message(answer: "requests.Response") -> str:
    try:
        return str(answer.json().get("message", ""))[:200]
    except (ValueError, AttributeError):
        return ""


def _reason(error: BaseException) -> str:
    import requests  # noqa: PLC0415

    if isinstance(error, requests.exceptions.SSLError):
        return "TLS: its certificate, or ours, is not accepted"
    return "does not answer" if isinstance(error, requests.ConnectionError | requests.Timeout) else type(error).__name__
