"""Rows in a Redis of the tests."""

from dataclasses import dataclass
from typing import Any

import redis as client

from services.server import Server


@dataclass
class Rows:
    """Keys below `user:<own>:`; look-ups and loaders use `pattern`."""

    server: Server
    own: str

    @property
    def pattern(self) -> str:
        return f"user:{self.own}:{{key}}"

    def url(self, port: int | None = None, **options: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in {"pattern": self.pattern, **options}.items())
        return f"redis://127.0.0.1:{port or self.server.port}/0?{query}"

    def client(self) -> "client.Redis":
        return client.Redis(port=self.server.port, decode_responses=True)

    def hashes(self, rows: dict[str, dict[str, Any]]) -> None:
        with self.client() as connection:
            for key, values in rows.items():
                connection.hset(self.pattern.format(key=key), mapping=values)

    def text(self, key: str, value: str | bytes) -> None:
        with self.client() as connection:
            connection.set(self.pattern.format(key=key), value)
