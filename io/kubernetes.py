"""The few calls of the Kubernetes API that an owner of a driver pod needs, from within a pod.

The official client is 20 MB with its models; this is three requests of JSON, for which the standard library does.
"""

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecompulse.epochs.errors import JobError, UserError

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has the token of its service account."""

_TIMEOUT: Final = 10.0  # seconds for an answer
_NOT_FOUND: Final = 404


@dataclass(frozen=True)
class Pods:
    """The pods of one namespace, with the rights of a service account.

    Attributes:
        url: of the API server.
        namespace: whose pods they are.
        account: folder of `token` and `ca.crt`. The token is read for each request: it is renewed now and then.
    """

    url: str
    namespace: str
    account: Path = ACCOUNT

    @staticmethod
    def of_this_pod(environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> "Pods":
        """As a pod sees its own namespace; UserError outside of one."""
        try:
            url = f"https://{environment['KUBERNETES_SERVICE_HOST']}:{environment['KUBERNETES_SERVICE_PORT']}"
            return Pods(url, (account / "namespace").read_text().strip(), account)
        except (KeyError, OSError):
            raise UserError("this is no pod of Kubernetes with a service account") from None

    def get(self, name: str) -> dict[str, Any] | None:
        """A pod; None where there is no such pod. JobError when the API server does not answer, or refuses."""
        return self._ask("GET", name)

    def delete(self, name: str) -> None:
        """Ask for the end of a pod, within its own termination grace; none is no error."""
        self._ask("DELETE", name)

    def _ask(self, method: str, name: str) -> dict[str, Any] | None:
        request = urllib.request.Request(  # noqa: S310  # https, see of_this_pod
            f"{self.url}/api/v1/namespaces/{self.namespace}/pods/{name}",
            method=method,
            headers={"Authorization": f"Bearer {(self.account / 'token').read_text().strip()}"},
        )
        trusted = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=trusted) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            raise JobError(f"Kubernetes: {method} of pod {name}: {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            raise JobError(f"Kubernetes: {method} of pod {name}: {error}") from None
