"""A schema registry for tests: a stub held to Confluent's documented API, which can fail on demand.

Jobs on a real one, `services.apicurio`, are tried at night.

GET /subjects, /schemas/ids/N, /schemas/guids/G, /subjects/S/versions/V, POST /subjects/S/versions.
"""

import json
import re
import ssl
import threading
import uuid
from base64 import b64encode
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit


class StubRegistry:
    """Schemas by number, in memory.

    Attributes:
        asked: how often each path was asked for.
        broken: statuses to answer the next calls with, or (status, JSON).
        deleted: subjects that are not told of unless asked with `deleted=true`.
    """

    def __init__(self, login: str = "", context: ssl.SSLContext | None = None) -> None:
        """`login`: `name:password`; `context`: of TLS."""
        self.schemas: dict[int, dict[str, Any]] = {}
        self.serialized: dict[int, str] = {}
        self.versions: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()
        self.broken: list[int | tuple[int, Any]] = []
        self.deleted: set[str] = set()
        self._login = f"Basic {b64encode(login.encode()).decode()}" if login else ""
        self._server = ThreadingHTTPServer(("localhost", 0), self._handler())
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(
        self, schema: Any, subject: str = "", kind: str = "AVRO", references: Any = (), serialized: str = ""
    ) -> int:
        """The id of a schema."""
        number = len(self.schemas) + 1
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.schemas[number] = {"schema": text, **({} if kind == "AVRO" else {"schemaType": kind})}
        if references:
            self.schemas[number]["references"] = list(references)
        self.serialized[number] = serialized
        self.versions.setdefault(subject or f"s{number}", []).append(number)
        return number

    def guid(self, number: int) -> str:
        """The GUID of an id."""
        return str(uuid.UUID(int=number))

    def answer(self, method: str, path: str, query: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        self.asked[path] += 1
        if self.broken:
            said = self.broken.pop(0)
            return (said, {"error_code": 50001, "message": "backend"}) if isinstance(said, int) else said
        if path == "/subjects":
            return 200, sorted(self.versions)
        if method == "POST" and (found := re.fullmatch(r"/subjects/([^/]+)/versions", path)):
            return self._register(unquote(found[1]), body)
        if found := re.fullmatch(r"/schemas/(ids|guids)/([^/]+)", path):
            number = int(found[2]) if found[1] == "ids" else uuid.UUID(found[2]).int
            return self._schema(number, query)
        if found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", path):
            hidden = unquote(found[1]) in self.deleted and "deleted=true" not in query
            numbers = [] if hidden else self.versions.get(unquote(found[1]), [])
            return self._schema(numbers[int(found[2]) - 1] if numbers else 0, query)
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _schema(self, number: int, query: str) -> tuple[int, Any]:
        if number not in self.schemas:
            return 404, {"error_code": 40403, "message": "Schema not found"}
        found = self.schemas[number]
        return 200, {**found, "schema": self.serialized[number]} if "serialized" in query else found

    def _register(self, subject: str, body: Any) -> tuple[int, Any]:
        for number in self.versions.get(subject, ()):
            if self.schemas[number]["schema"] == body["schema"]:
                return 200, {"id": number}
        return 200, {"id": self.add(body["schema"], subject, body.get("schemaType", "AVRO"))}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the base class's name
                self._reply("GET")

            def do_POST(self) -> None:  # the base class's name
                self._reply("POST")

            def _reply(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urlsplit(self.path)
                if registry._login and self.headers.get("Authorization") != registry._login:
                    status, found = 401, {"error_code": 401, "message": "Unauthorized"}
                else:
                    status, found = registry.answer(method, url.path, url.query, json.loads(body) if body else None)
                data = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
