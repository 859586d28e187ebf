"""A server of plain sockets between a client and a real one, that can be told to misbehave."""

import contextlib
import socket
import threading
import time
from enum import StrEnum


class Fault(StrEnum):
    """What it does to every connection, open ones included."""

    NONE = "none"
    HANG = "accepts and never answers"
    TRICKLE = "answers a byte at a time"
    REFUSE = "refuses"
    RUBBISH = "answers rubbish"
    CUT = "dies in the middle of an answer"


class Between:
    """A proxy to a port of 127.0.0.1; `fault` may be set at any moment. Connections made before are cut then."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = Fault.NONE
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked = 0
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        with self._lock:
            if self._fault == Fault.REFUSE:
                self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
            self._fault = fault
            if fault == Fault.REFUSE:
                shut(self._listener)
            for connection in self._open:
                shut(connection)
            self._open.clear()

    def close(self) -> None:
        """End, with all connections."""
        self.fault = Fault.REFUSE

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        fault = self._fault
        with contextlib.suppress(OSError):
            if fault == Fault.NONE:
                self._relay(client)
                return
            while client.recv(65536):
                self.asked += 1
                if fault == Fault.TRICKLE:
                    while True:
                        client.sendall(b"$")
                        time.sleep(0.1)
                if fault == Fault.RUBBISH:
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\nthe secret of somebody else")
                if fault == Fault.CUT:
                    client.sendall(b"*2\r\n$5\r\nab")
                    break
        shut(client)

    def _relay(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        with self._lock:
            self._open.append(server)
        threading.Thread(target=copy, args=(server, client), daemon=True).start()
        copy(client, server)


def copy(source: socket.socket, to: socket.socket) -> None:
    """All bytes until either side ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    shut(source)
    shut(to)


def shut(connection: socket.socket) -> None:
    """End both ways, and let go."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
