"""Every other receiver, by Apprise: fine for chat, not for paging, since it knows no keys and resolves nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apprise

from ecompulse.io.alerts.alert import FIRING, Alert
from ecompulse.io.alerts.targets import AlertTarget, NotNowError
from ecompulse.io.secrets import read_secret

_KINDS = {"critical": "failure", "warning": "warning", "info": "info"}


@dataclass(frozen=True)
class AppriseTarget:
    """A service that Apprise knows.

    Attributes:
        shown: its scheme.
        services: Apprise with that service.
    """

    shown: str
    services: Any
    batch: int = 1

    def send(self, alerts: Sequence[Alert]) -> None:
        """See AlertTarget; Apprise does not say why it failed."""
        for alert in alerts:
            firing = alert.status == FIRING
            kind = _KINDS.get(alert.severity, "warning") if firing else "success"
            title = f"{alert.severity if firing else 'resolved'}: {alert.rule}"
            if not self.services.notify(body=alert.summary, title=title, notify_type=kind):
                raise NotNowError("the service did not take it")


def open_apprise(rest: str) -> AlertTarget:
    """`URL` as Apprise has it, or `env:NAME`, `file:PATH` that hold it; ValueError for one that it does not know."""
    url = read_secret(rest) if rest.split(":", 1)[0] in {"env", "file"} else rest
    services = apprise.Apprise()
    if not services.add(url):
        raise ValueError("Apprise knows no such service")
    return AppriseTarget(f"apprise:{url.partition(':')[0]}", services)
