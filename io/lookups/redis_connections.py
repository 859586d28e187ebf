"""Connections to Redis: TLS, users, and how another thread cuts them, also in the middle of a handshake."""

import contextlib
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ecompulse.io.lookups.store import LookupSpec
from ecompulse.io.secrets import read_secret


class Wires:
    """The sockets of one client's connections.

    redis-py knows the socket of a connection only once it is ready, so that one which hangs before that, in a
    handshake that trickles, would be out of reach. What is kept here is a second handle of the same socket: it stays
    good when TLS takes over the first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: dict[int, socket.socket] = {}
        self._cut = False

    def add(self, owner: int, wire: socket.socket) -> None:
        """Remember the socket of a connection; ConnectionError when all were cut."""
        with self._lock:
            if self._cut:
                wire.close()
                raise redis.ConnectionError("given up")
            self._forget(owner)
            self._handles[owner] = wire.dup()

    def remove(self, owner: int) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._forget(owner)

    def cut(self) -> None:
        """Shut all sockets, now and from now on: who waits on one is woken up with an error."""
        with self._lock:
            self._cut = True
            for owner, handle in list(self._handles.items()):
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)
                self._forget(owner)

    def _forget(self, owner: int) -> None:
        handle = self._handles.pop(owner, None)
        if handle is not None:
            handle.close()


class PlainConnection(redis.Connection):
    """A connection whose socket is among the wires from its first moment."""

    def __init__(self, *args: Any, wires: Wires, **settings: Any) -> None:
        self._wires = wires
        super().__init__(*args, **settings)

    def _connect(self) -> socket.socket:
        wire: socket.socket = super()._connect()
        self._wires.add(id(self), wire)
        return wire

    def disconnect(self, *args: Any, **settings: Any) -> None:
        """Close."""
        super().disconnect(*args, **settings)
        self._wires.remove(id(self))


class TlsConnection(redis.SSLConnection, PlainConnection):
    """The same with TLS, which begins on a socket that is among the wires already."""


def connection_settings(spec: LookupSpec) -> Mapping[str, Any]:
    """What a connection needs, without the password: `password_from` says where it is.

    Raises:
        ValueError: an address that is none, a file that is not there.
    """
    parts = urlsplit(f"{spec.scheme}:{spec.location}")
    database = parts.path.strip("/") or "0"
    try:
        port = parts.port or 6379
    except ValueError:
        port = 0
    if not parts.hostname or not database.isdecimal() or not port:
        raise ValueError(f"{spec}: write {spec.scheme}://HOST:PORT/DATABASE, DATABASE a number")
    files = {name: spec.options.get(name) for name in ("ca", "certificate", "certificate_key")}
    for name, path in files.items():
        if path and not Path(path).is_file():
            raise ValueError(f"{spec}: {name}: no such file: {path}")
    if spec.options.get("password"):
        read_secret(spec.options["password"])
    return {
        "host": parts.hostname,
        "port": port,
        "db": int(database),
        "username": spec.options.get("user"),
        "password_from": spec.options.get("password"),
        "tls": spec.scheme == "rediss",
        "timeout": spec.timeout,
        **files,
    }


def connect(settings: Mapping[str, Any], wires: Wires) -> redis.Redis:
    """A client that neither retries nor waits by itself; it connects with its first command."""
    source = settings["password_from"]
    common = {
        "host": settings["host"],
        "port": settings["port"],
        "db": settings["db"],
        "username": settings["username"],
        "password": read_secret(source) if source else None,
        "socket_timeout": settings["timeout"],
        "socket_connect_timeout": settings["timeout"],
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "wires": wires,
    }
    if not settings["tls"]:
        return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=PlainConnection, **common))
    tls = {
        "connection_class": TlsConnection,
        "ssl_ca_certs": settings["ca"],
        "ssl_certfile": settings["certificate"],
        "ssl_keyfile": settings["certificate_key"],
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
    return redis.Redis(connection_pool=redis.ConnectionPool(**common, **tls))
