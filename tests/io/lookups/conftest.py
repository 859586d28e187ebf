"""Rows in a real Redis, under a prefix of each test's own."""

import uuid

import pytest

from ecompulse.io.lookups.resources import forget
from services.server import Server
from support.faults import Between
from support.redis_rows import Rows


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
