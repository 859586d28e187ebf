"""Calls an ASGI application as a server would, without one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What an application answers."""

    status: int
    headers: Mapping[str, str]
    text: str


def get(app: Any, path: str, *, root_path: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """GET of a path, as from behind a proxy that serves the application under `root_path`."""
    plain, _, query = path.partition("?")
    told: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": root_path + plain,
        "raw_path": (root_path + plain).encode(),
        "root_path": root_path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    asyncio.run(app(scope, receive, send))
    begun = next(message for message in told if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in told if message["type"] == "http.response.body")
    return Answer(begun["status"], {name.decode(): value.decode() for name, value in begun["headers"]}, body.decode())
