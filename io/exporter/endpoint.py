"""The HTTP endpoint of a driver: metrics for Prometheus, and what an orchestrator's probes ask."""

import errno
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, start_http_server

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.health import Health

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LOCAL: Final = "127.0.0.1"


def serve(
    registry: CollectorRegistry, address: str, host: str | None = None, health: Health | None = None
) -> Callable[[], None]:
    """Listen on `HOST:PORT`, or on `PORT` of `host`; returns what ends it. UserError when that cannot be.

    `health` answers `/livez` and `/readyz`: 200 or 503, and why in a line.

    Without a host only this machine is answered: KPIs and what they are of are not for everybody.
    """
    own, _, port = address.rpartition(":")
    if own and host:
        raise UserError(f"--metrics_host: {host}: --metrics_port={address} names a host already")
    listening = (own or host or LOCAL).removeprefix("[").removesuffix("]")
    try:
        server, thread = start_http_server(int(port), listening, registry)
    except (OSError, ValueError, OverflowError) as error:
        given = f"--metrics_host: {host}" if host and _is_of_host(error) else f"--metrics_port: {address}"
        reason = error.strerror if isinstance(error, OSError) else "give PORT or HOST:PORT"
        raise UserError(f"{given}: {reason}") from None
    if health:
        server.set_app(_with_probes(health, server.get_app()))

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _with_probes(health: Health, other: "WSGIApplication | None") -> "WSGIApplication":
    probes = {"/livez": health.alive, "/readyz": health.ready}

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        probe = probes.get(environ["PATH_INFO"])
        if probe is None:
            return other(environ, start) if other else ()
        found = probe()
        start("200 OK" if found.good else "503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{found.text}\n".encode()]

    return answer


def _is_of_host(error: Exception) -> bool:
    """No name of a host, or no address of this machine."""
    return isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
