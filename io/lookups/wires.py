"""Redis connections that another thread can cut at any moment, also in the middle of a handshake."""

import contextlib
import socket
import threading
from typing import Any

import redis


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
