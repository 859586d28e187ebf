"""Receivers of alerts by the scheme of their URL, as `--alert` gives it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import urllib3

from ecompulse.epochs.errors import UserError
from ecompulse.io.alerts import bodies
from ecompulse.io.alerts.alert import Alert
from ecompulse.io.schemes import Schemes, UnknownSchemeError
from ecompulse.io.secrets import read_secret

TIMEOUT: Final = 5.0  # seconds, of a connection and of an answer
_SHOWN: Final = 200  # bytes of an answer that are repeated
_PASSES: Final = (408, 425, 429)
_PAGERDUTY: Final = "https://events.pagerduty.com"


class RefusedError(Exception):
    """The receiver will never take this alert: it becomes a letter."""


class NotNowError(Exception):
    """The receiver may take it later.

    Attributes:
        pause: seconds that it asked us to wait; None where it said nothing.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class AlertTarget(Protocol):
    """A receiver.

    Attributes:
        shown: what it is called where people read it; no secret in it.
        batch: alerts that it takes in one call at the most.
    """

    @property
    def shown(self) -> str:
        """See above."""
        ...

    @property
    def batch(self) -> int:
        """See above."""
        ...

    def send(self, alerts: Sequence[Alert]) -> None:
        """Hand over alerts, all or none.

        RefusedError: it will never take them; NotNowError, or any other error: it may take them later.
        """
        ...


TargetOpener = Callable[[str], AlertTarget]
"""Makes a receiver of what stands behind the scheme, without asking anybody; ValueError for what cannot be."""


@dataclass(frozen=True)
class HttpTarget:
    """A receiver that takes JSON by HTTP.

    Attributes:
        url: where to.
        body: what is sent for some alerts.
        batch: see AlertTarget.
    """

    kind: str
    url: str
    body: Callable[[Sequence[Alert]], Any]
    batch: int = 1
    _pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(TIMEOUT, TIMEOUT)),
        repr=False,
        compare=False,
    )

    @property
    def shown(self) -> str:
        """Kind and host: paths and queries of such URLs are secrets."""
        return f"{self.kind}:{urlsplit(self.url).hostname}"

    @property
    def _login(self) -> dict[str, str]:
        """The header of basic authentication for `https://USER:PASSWORD@HOST`."""
        parts = urlsplit(self.url)
        if parts.username is None:
            return {}
        return dict(urllib3.make_headers(basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"))

    @property
    def _address(self) -> str:
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def send(self, alerts: Sequence[Alert]) -> None:
        """See AlertTarget; the `Idempotency-Key` of a single alert is its row's id."""
        headers = {"Content-Type": "application/json", "User-Agent": "ecompulse", **self._login}
        if self.batch == 1:
            headers["Idempotency-Key"] = alerts[0].key
        data = json.dumps(self.body(alerts), ensure_ascii=False).encode()
        try:
            answer = self._pool.request(
                "POST", self._address, body=data, headers=headers, redirect=False, preload_content=False
            )
            said = answer.read1(_SHOWN) if answer.status >= 300 else b""  # noqa: PLR2004
            answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NotNowError(f"{type(error).__name__}") from error  # its text has the URL
        if answer.status >= 300:  # noqa: PLR2004
            _judge(answer.status, said.decode("utf-8", "replace").strip(), answer.headers.get("Retry-After"))


def _judge(status: int, said: str, after: str | None) -> None:
    told = f"HTTP {status}" + (f": {' '.join(said.split())}" if said else "")
    if status >= 500 or status in _PASSES:  # noqa: PLR2004
        raise NotNowError(told, float(after) if after and after.isdigit() else None)
    raise RefusedError(told)


def web_url(rest: str, default: str = "http") -> str:
    """A URL as it stands, or `//HOST:PORT/...` with a scheme; `env:NAME` and `file:PATH` hold one.

    Raises:
        ValueError: it is none; the text does not repeat it.
    """
    text = read_secret(rest) if rest.split(":", 1)[0] in {"env", "file"} else rest
    url = f"{default}:{text}" if text.startswith("//") else text
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("wants a URL with a port that is a number") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("wants http://HOST..., https://HOST..., //HOST:PORT, env:NAME or file:PATH")
    return url


def open_webhook(rest: str) -> AlertTarget:
    """Any server that takes the body of Alertmanager's webhook, version 4."""
    return HttpTarget("webhook", web_url(rest), lambda alerts: bodies.webhook(alerts[0], "ecompulse"))


def open_alertmanager(rest: str) -> AlertTarget:
    """Alertmanager itself, by its API v2."""
    url = web_url(rest).rstrip("/")
    url = url if url.endswith("/api/v2/alerts") else f"{url}/api/v2/alerts"
    return HttpTarget("alertmanager", url, bodies.alertmanager, batch=64)


def open_pagerduty(rest: str) -> AlertTarget:
    """`KEY`, `env:NAME` or `file:PATH`, and `@URL` behind it for another server than PagerDuty's in the USA."""
    place, _, server = rest.removeprefix("//").partition("@")
    key = read_secret(place) if place.split(":", 1)[0] in {"env", "file"} else place
    if not key:
        raise ValueError("wants the routing key, env:NAME or file:PATH")
    url = f"{web_url(server or _PAGERDUTY).rstrip('/')}/v2/enqueue"
    return HttpTarget("pagerduty", url, lambda alerts: bodies.pagerduty(alerts[0], key))


def open_slack(rest: str) -> AlertTarget:
    """An incoming webhook, or a workflow, of Slack."""
    return HttpTarget("slack", web_url(rest, "https"), lambda alerts: bodies.slack(alerts[0]))


def open_teams(rest: str) -> AlertTarget:
    """A workflow of Teams that begins with a webhook request."""
    return HttpTarget("teams", web_url(rest, "https"), lambda alerts: bodies.teams(alerts[0]))


_ROOM: Final = "ecompulse.io.alerts"
TARGETS: Final = Schemes[TargetOpener](
    "receiver of alerts",
    {
        "alertmanager": f"{_ROOM}.targets:open_alertmanager",
        "webhook": f"{_ROOM}.targets:open_webhook",
        "pagerduty": f"{_ROOM}.targets:open_pagerduty",
        "slack": f"{_ROOM}.targets:open_slack",
        "teams": f"{_ROOM}.targets:open_teams",
        "apprise": f"{_ROOM}.chat:open_apprise",
    },
)

register_alert_target = TARGETS.register


def open_target(url: str) -> AlertTarget:
    """The receiver of a URL; one of `http` and `https` is a webhook.

    Raises:
        UserError: names `--alert` and the scheme; never the URL, which may be a secret.
    """
    scheme, _, rest = url.partition(":")
    if scheme in {"http", "https"} and scheme not in TARGETS:
        scheme, rest = "webhook", url
    if scheme in {"env", "file"}:
        return open_target(_secret(url))
    try:
        return TARGETS.opener(f"{scheme}:")(rest)
    except UnknownSchemeError as error:
        raise UserError(f"--alert: {str(error).replace('::', ':', 1)}") from None
    except ModuleNotFoundError as error:
        raise UserError(f"--alert: {scheme}: needs {error.name}: pip install 'ecompulse[alerts]'") from None
    except ValueError as error:
        raise UserError(f"--alert: {scheme}: {error}") from None


def _secret(place: str) -> str:
    try:
        return read_secret(place)
    except ValueError as error:
        raise UserError(f"--alert: {error}") from None
