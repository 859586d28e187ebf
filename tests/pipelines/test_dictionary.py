"""Every column of every table is described, and the readers of the descriptions find them."""

import json
import sqlite3

import duckdb
import polars as pl
import pytest
import sqlalchemy as sa
import yaml
from deltalake import DeltaTable

from ecompulse.cli import dictionary
from ecompulse.cli.shipped import shared_of, shipped_tables
from ecompulse.epochs.sinks import Owner
from ecompulse.io.sinks.catalogue import columns_of, dbt_sources, duckdb_views, entries_of, latest_sql
from ecompulse.io.sinks.delta import DeltaSink
from ecompulse.io.sinks.warehouse_schema import ensure, table_of
from ecompulse.io.stores import LocalStore
from ecompulse.kernels.dictionary.column import Column
from ecompulse.kernels.dictionary.registry import about, described
from services.postgres import Databases
from support.place import printed


@pytest.fixture(scope="module")
def shipped():
    return shipped_tables()


@pytest.fixture(scope="module")
def specs(shipped):
    return [each.spec for each in shipped.values()]


def test_every_table_and_column_has_an_entry_and_no_entry_is_of_a_column_that_is_gone(shipped):
    assert set(shipped) == set(described())
    for name, each in shipped.items():
        there = columns_of(each.spec)
        assert [entry.column for entry in entries_of(each.spec)] == list(there)
        if name in {"enriched_events", "late_events"}:
            continue  # what is enriched, and carried, depends on flags
        assert {column for column in about(name).columns if not column.endswith("*")} <= set(there), name


def test_a_column_without_an_entry_is_named(shipped, monkeypatch):
    monkeypatch.delitem(about("funnels").columns, "p90_ms")
    with pytest.raises(KeyError, match=r"funnels\.p90_ms is not in the dictionary"):
        list(entries_of(shipped["funnels"].spec))


@pytest.mark.parametrize("engine", ["sqlite", "duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_no_column_and_no_table_needs_quotes(engine, specs, request):
    if engine == "duckdb":
        run = duckdb.connect().execute
    elif engine == "sqlite":
        run = sqlite3.connect(":memory:").execute
    else:
        url = Databases(request.getfixturevalue("postgres")).new()
        connection = sa.create_engine(url).connect()
        run = connection.exec_driver_sql
    for spec in specs:
        names = list(columns_of(spec))
        run(f"CREATE TABLE {spec.name} ({', '.join(f'{name} TEXT' for name in names)})")
        for name in names:  # also in the places where fewer words are taken for names
            run(f"SELECT {name}, t.{name} AS {name} FROM {spec.name} t WHERE {name} = 'x' ORDER BY {name}")  # noqa: S608
            run(f"SELECT {name} {name} FROM {spec.name} GROUP BY {name}")  # noqa: S608


def test_fields_of_the_lake_carry_the_comments(specs, tmp_path):
    sink = DeltaSink(LocalStore(str(tmp_path)))
    sink.open(specs, Owner("j", "c"))
    for spec in specs:
        table = DeltaTable(str(tmp_path / spec.name))
        assert table.metadata().description == about(spec.name).grain
        for field in table.schema().fields:
            said = about(spec.name).column(field.name)
            assert said is not None
            assert field.metadata["comment"] == said.comment, (spec.name, field.name)


def test_a_column_that_comes_later_has_its_comment_too(shipped, tmp_path):
    whole = shipped["sessions"].spec
    fewer = type(whole)(**{**vars(whole), "schema": pl.Schema(list(whole.schema.items())[:5])})
    for spec in (fewer, whole):
        DeltaSink(LocalStore(str(tmp_path))).open([spec], Owner("j", "c"))
    fields = {field.name: field.metadata for field in DeltaTable(str(tmp_path / "sessions")).schema().fields}
    assert fields["bounced"]["comment"] == "one page or product view and nothing else"


@pytest.mark.slow
def test_postgresql_shows_the_comments(specs, postgres):
    engine = sa.create_engine(Databases(postgres).new())
    held = [spec for spec in specs if spec.warehouse]
    with engine.begin() as connection:
        for spec in held:
            fewer = type(spec)(**{**vars(spec), "schema": pl.Schema(list(spec.schema.items())[:-2])})
            ensure(connection, table_of(fewer))
            ensure(connection, table_of(spec))  # widened
    inspector = sa.inspect(engine)
    for spec in held:
        assert inspector.get_table_comment(spec.name)["text"] == f"One row is {about(spec.name).grain}."
        for column in inspector.get_columns(spec.name):
            said = about(spec.name).column(column["name"])
            assert column["comment"] == (said and said.comment), (spec.name, column["name"])
        assert f"{spec.name}_latest" in inspector.get_view_names()
    assert {each["name"] for each in inspector.get_columns("sessions_latest")} == {
        each["name"] for each in inspector.get_columns("sessions")
    }


def test_the_view_shows_final_rows_only_and_follows_a_table_that_grows(shipped, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    spec = shipped["metrics"].spec
    fewer = type(spec)(**{**vars(spec), "schema": pl.Schema({k: v for k, v in spec.schema.items() if k != "value"})})
    with engine.begin() as connection:
        ensure(connection, table_of(fewer))
        ensure(connection, table_of(spec))
        for name, final in (("a", 1), ("b", 0)):
            given = (name, "j", final, 2)
            connection.exec_driver_sql("INSERT INTO metrics (id, job, final, value) VALUES (?, ?, ?, ?)", given)
        assert connection.exec_driver_sql("SELECT id, value FROM metrics_latest").all() == [("a", 2)]


def test_a_table_that_has_the_views_name_is_left_alone(shipped, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE funnels_latest (mine INTEGER)")
        ensure(connection, table_of(shipped["funnels"].spec))
        assert sa.inspect(connection).get_view_names() == []
        assert connection.exec_driver_sql("SELECT mine FROM funnels_latest").all() == []


def test_the_lakes_view_takes_the_greatest_revision_and_then_asks_whether_it_is_final():
    rows = pl.DataFrame(
        [("a", 1, False), ("a", 2, True), ("b", 1, True), ("b", 2, False), ("c", 1, True)],
        schema=["id", "revision", "final"], orient="row",
    ).with_columns(job=pl.lit("j"), instance=pl.lit(None, pl.String), epoch=pl.lit(1))  # fmt: skip
    found = duckdb.sql(latest_sql("rows", rows.columns)).pl()
    assert sorted(found.select("id", "revision").rows()) == [("a", 2), ("c", 1)]


def test_duckdb_takes_the_sql_of_the_views(specs, tmp_path):
    """Each view answers; the extension, which has to be downloaded, is stood in for by the table itself."""
    sql = duckdb_views(specs, "lake").replace("INSTALL delta;\nLOAD delta;\n", "")
    with duckdb.connect() as connection:
        for spec in specs:
            empty = pl.DataFrame(schema=columns_of(spec))
            connection.register(f"lake_{spec.name}", empty)
            sql = sql.replace(f"delta_scan('lake/{spec.name}')", f"lake_{spec.name}")
        assert "delta_scan" not in sql
        connection.execute(sql)
        for spec in specs:
            assert connection.sql(f"SELECT * FROM {spec.name}_latest").columns == list(columns_of(spec))  # noqa: S608


def test_dbts_sources_name_every_column_of_the_warehouse(shipped, specs):
    [source] = yaml.safe_load(dbt_sources(specs, shared_of(shipped)))["sources"]
    assert {table["name"] for table in source["tables"]} == {spec.name for spec in specs if spec.warehouse}
    for table in source["tables"]:
        assert set(table["freshness"]) == {"warn_after", "error_after"}
        assert table["loaded_at_field"] in {column["name"] for column in table["columns"]}
        assert all(column["description"] for column in table["columns"])
        unique = [column["name"] for column in table["columns"] if "unique" in column.get("data_tests", [])]
        assert unique == ([] if table["name"] == "data_quality" else ["id"])


def test_the_tool_prints_a_table_and_refuses_one_that_is_not_there(capsys, wrong):
    found = [json.loads(line) for line in printed(capsys, dictionary, "funnels", "--format=json").splitlines()]
    assert {entry["table"] for entry in found} == {"funnels"}
    assert {"column", "type", "unit", "meaning", "values", "example"} <= set(found[0])
    assert "stage_index" in printed(capsys, dictionary, "funnels")
    assert wrong(dictionary.main, "funels") == "dictionary: funels: no such table, did you mean funnels?"


def test_values_in_the_dictionary_are_those_that_rows_have(done):
    for table in ("dead_letters", "enriched_events", "data_quality"):
        for name, column in about(table).columns.items():
            rows = done.raw(table)
            if isinstance(column, Column) and column.values and name in rows.columns:
                assert set(rows[name].drop_nulls().unique()) <= set(column.values), (table, name)
