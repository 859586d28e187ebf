"""Rows in a real Redis, under a prefix of each test's own."""

import uuid
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
import redis as client

from ecompulse.io.lookups.resources import forget
from services.server import Server
from support.faults import Between


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


@pytest.fixture
def rows(redis: Server) -> Rows:
    return Rows(redis, uuid.uuid4().hex[:8])


@pytest.fixture
def between(redis: Server):
    proxy = Between(redis.port)
    yield proxy
    proxy.close()


@pytest.fixture
def fresh():
    forget()
    yield
    forget()


def keys(*found: str) -> pl.Series:
    return pl.Series(found, dtype=pl.String)
