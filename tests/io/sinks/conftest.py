"""Warehouses to write to: SQLite always, PostgreSQL where there is one."""

import pytest

from services.postgres import Databases
from support.warehouse import Warehouse


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def warehouse(request, tmp_path):
    if request.param == "sqlite":
        return Warehouse(tmp_path, f"sqlite:///{tmp_path / 'w.db'}")
    return Warehouse(tmp_path, Databases(request.getfixturevalue("postgres")).new())


@pytest.fixture
def in_postgres(postgres, tmp_path):
    return Warehouse(tmp_path, Databases(postgres).new())
