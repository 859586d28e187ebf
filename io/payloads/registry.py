"""A schema registry, by the API that Confluent documents and that Karapace, Apicurio and Redpanda have too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast
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
_UNKNOWN: Final = frozenset(("40401", "40402", "40403"))  # subject, version, schema
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
            found, named = self._whole(_path_of(key))
            known = Registered(found.get("schemaType") or AVRO, found["schema"], named)
            _schemas[self.url, key] = known
        return known

    def descriptors(self, key: int | str) -> list[tuple[str, str]]:
        """Name and descriptor (base64) of a Protobuf schema's file, last, and before each those that it refers to."""
        found, files = self._whole(_path_of(key), "format=serialized")
        return [*files.items(), ("", found["schema"])]

    def check(self) -> None:
        """UserError for a registry that refuses us or is none, JobError for one that does not answer."""
        try:
            self._get("/subjects")
        except UnknownSchema:
            raise UserError(f"{FLAG}: {self.url}: is no schema registry: it has no /subjects") from None

    def register(self, subject: str, kind: str, text: str) -> int:
        """The id of a schema under a subject, registered if it is not; UserError when it does not fit those before."""
        body = {"schema": text, **({} if kind == AVRO else {"schemaType": kind})}
        found = self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
        return int(found["id"])

    def _whole(self, path: str, query: str = "") -> tuple[Mapping[str, Any], dict[str, str]]:
        """A schema, and the texts of those that it refers to by name, each after those that it refers to itself."""
        found, named = self._schema_at(path, query), {}  # type: tuple[Mapping[str, Any], dict[str, str]]
        self._collect(found.get("references") or (), named, query)
        return found, named

    def _collect(self, references: Any, named: dict[str, str], query: str) -> None:
        for each in references:
            if each["name"] not in named:
                path = f"/subjects/{quote(each['subject'], safe='')}/versions/{each['version']}"
                found = self._schema_at(path, f"deleted=true&{query}")  # what is deleted may be in use
                self._collect(found.get("references") or (), named, query)
                named[each["name"]] = found["schema"]

    def _schema_at(self, path: str, query: str) -> Mapping[str, Any]:
        found = self._get(f"{path}?{query}" if query else path)
        whole = isinstance(found, dict) and isinstance(found.get("schema"), str)
        if whole and all(map(_is_reference, found.get("references") or ())):
            return cast("Mapping[str, Any]", found)
        raise JobError(f"{FLAG}: {self.url}{path}: answers without a schema")

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
            if _said(answer, "error_code") not in _UNKNOWN:  # of something before the registry
                raise _Again("answers 404, and not as a registry does")
            raise UnknownSchema(f"{self.url} has no {path.strip('/').replace('/', ' ')}")
        if answer.status_code >= _ERROR:
            raise UserError(f"{FLAG}: {self.url}{path}: {answer.status_code} {_said(answer, 'message')}")
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


def _path_of(key: int | str) -> str:
    return f"/schemas/guids/{quote(key)}" if isinstance(key, str) else f"/schemas/ids/{key}"


def _is_reference(each: Any) -> bool:
    return isinstance(each, dict) and {"name", "subject", "version"} <= each.keys()


def _said(answer: "requests.Response", name: str) -> str:
    """A member of what a registry says of an error."""
    try:
        return str(answer.json().get(name, ""))[:200]
    except (ValueError, AttributeError):
        return ""


def _reason(error: BaseException) -> str:
    import requests  # noqa: PLC0415

    if isinstance(error, requests.exceptions.SSLError):
        return "TLS: its certificate, or ours, is not accepted"
    return "does not answer" if isinstance(error, requests.ConnectionError | requests.Timeout) else type(error).__name__
