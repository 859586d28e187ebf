"""A server that takes alerts, or fails in a way that a test asks for, and remembers what it was told."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What a server was told, and how it shall answer: the first of `answers` is used up, then it takes everything.

    An answer is a status, `(status, headers)`, `hang` (nothing for ever), `close` (the connection ends), `drip` (a byte
    now and then) or `garbage`.
    """

    url: str = ""
    answers: list[Any] = field(default_factory=list)
    told: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def bodies(self) -> list[Any]:
        """What was taken, or refused, in order."""
        return [body for _, body, _ in self.told]

    @property
    def keys(self) -> list[str]:
        """Idempotency keys, in order."""
        return [headers["Idempotency-Key"] for _, _, headers in self.told]


@contextmanager
def receiver(answers: Sequence[Any] = ()) -> Iterator[Receiver]:
    """A server on a free port of this machine."""
    found = Receiver(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            answer = found.answers.pop(0) if found.answers else 200
            found.told.append((self.path, json.loads(data), dict(self.headers)))
            self._answer(answer)

        def _answer(self, answer: Any) -> None:
            if answer == "hang":
                found.over.wait(30)
            elif answer == "garbage":
                self.wfile.write(b"\x00\x01 no http\r\n\r\n")
            elif answer == "drip":
                while not found.over.is_set():
                    self.wfile.write(b"H")
                    self.wfile.flush()
                    time.sleep(0.05)
            elif answer != "close":
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"said")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
