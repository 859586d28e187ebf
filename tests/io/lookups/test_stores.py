"""Stores in files: every kind gives the same answers; a wrong one is one clear line at the start."""

import json
import pickle
import sqlite3
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ecompulse.io.lookups import LookupFailed, Store, open_lookup, parse_spec, register_lookup
from support.examples import examples

ROWS = [("a", "gold", 1), ("b", None, 2), ("ä'\"; --", "odd", 3), ("", "empty", 4), ("10", "ten", 5)]
COLUMNS = pl.Schema({"tier": pl.String(), "age": pl.Int64()})


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    table = pl.DataFrame(ROWS, schema={"id": pl.String(), **COLUMNS}, orient="row")
    table.write_parquet(folder / "users.parquet")
    table.write_ndjson(folder / "users.jsonl")
    database = sqlite3.connect(folder / "users.db")
    database.execute("CREATE TABLE users (id TEXT PRIMARY KEY, tier TEXT, age INTEGER)")
    database.executemany("INSERT INTO users VALUES (?, ?, ?)", ROWS)
    database.commit()
    database.close()
    return folder


SPECS = ["parquet:{}/users.parquet?key=id", "jsonl:{}/users.jsonl?key=id", "sqlite:{}/users.db?table=users&key=id"]


@pytest.mark.parametrize("spec", SPECS)
@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([row[0] for row in ROWS]) | st.text(max_size=3), unique=True, max_size=8))
def test_every_store_gives_the_rows_of_its_keys(places, spec, keys):
    store = open_lookup(spec.format(places))
    assert store.columns == COLUMNS
    found = store.fetch(pl.Series(keys, dtype=pl.String))
    assert found.schema == pl.Schema({"key": pl.String(), **COLUMNS, "status": pl.String()})
    assert sorted(found.rows()) == sorted((*row, "ok") for row in ROWS if row[0] in keys)


@pytest.mark.parametrize("spec", SPECS)
def test_chosen_columns(places, spec):
    store = open_lookup(spec.format(places) + "&columns=age")
    assert store.fetch(pl.Series(["a"])).rows() == [("a", 1, "ok")]


def test_many_keys_are_one_query(places):
    store = open_lookup(SPECS[2].format(places))
    keys = pl.Series([f"k{n}" for n in range(100_000)] + ["a"])
    assert store.fetch(keys).rows() == [("a", "gold", 1, "ok")]


def sqlite_table(path: Path, columns: str, rows: str) -> Store:
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE p (id TEXT, {columns})")
    database.execute(f"INSERT INTO p VALUES {rows}")  # noqa: S608  # our own
    database.commit()
    database.close()
    return open_lookup(f"sqlite:{path}?table=p&key=id")


def test_sqlite_types(tmp_path):
    columns = "price DECIMAL(10,2), live BOOLEAN, weight REAL, n INTEGER"
    store = sqlite_table(tmp_path / "p.db", columns, "(7, 12.5, 1, 3, 5), (8, NULL, NULL, NULL, NULL)")
    rows = store.fetch(pl.Series(["7", "8", "07", "x"])).sort("key").rows()
    assert rows == [("7", Decimal("12.5000"), True, 3.0, 5, "ok"), ("8", None, None, None, None, "ok")]


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("v INTEGER", "'old'"),
        ("v INTEGER", "''"),
        ("v BIGINT", "9223372036854775808"),
        ("v DECIMAL(10,2)", "'12,50'"),
        ("v DECIMAL", "9e999"),
        ("v DECIMAL(38,2)", "123456789012345678"),
        ("v REAL", "'x'"),
        ("v REAL", "-9e999"),
        ("v TEXT", "CAST(x'ff' AS TEXT)"),
        ("v BLOB", "x'eda080'"),
        ("v INTEGER", "1.5"),
        ("v BOOLEAN", "'no'"),
        ("v BOOLEAN", "2"),
        ("v BOOLEAN", "0.5"),
    ],
)
def test_a_value_that_sqlite_let_pass_is_malformed_and_spoils_no_other(tmp_path, column, bad):
    store = sqlite_table(tmp_path / "p.db", f"{column}, w INTEGER", f"('good', 1, 1), ('bad', {bad}, 2)")
    good, wrong = store.fetch(pl.Series(["good", "bad", "absent"])).sort("key", descending=True).rows()
    assert (float(good[1]), *good[2:]) == (1, 1, "ok")
    assert wrong == ("bad", None, 2, "malformed")


def test_booleans_of_sqlite_are_read_as_those_of_other_stores(tmp_path):
    written = {"1": True, "0": False, "'true'": True, "'false'": False, "'FALSE'": False, "'1'": True, "NULL": None}
    rows = ", ".join(f"({at}, {text})" for at, text in enumerate(written))
    found = (
        sqlite_table(tmp_path / "p.db", "v BOOLEAN", rows).fetch(pl.Series([str(at) for at in range(7)])).sort("key")
    )
    assert found["v"].to_list() == list(written.values())
    assert set(found["status"]) == {"ok"}


def test_doubles_of_sqlite_keep_their_digits(tmp_path):
    values = [0.1 + 0.2, 1e300, 5e-324, -123456.7890123456]
    rows = ", ".join(f"({at}, {value!r}, {value!r})" for at, value in enumerate(values))
    found = (
        sqlite_table(tmp_path / "p.db", "v REAL, w DECIMAL", rows).fetch(pl.Series(["0", "1", "2", "3"])).sort("key")
    )
    assert found["v"].to_list() == values
    assert found["w"].to_list() == [Decimal("0.3000"), None, Decimal("0.0000"), Decimal("-123456.7890")]


@pytest.mark.parametrize("name", ["key", "status"])
@pytest.mark.parametrize("spec", SPECS)
def test_a_column_of_a_reserved_name_is_refused(tmp_path, spec, name):
    table = pl.DataFrame({"id": ["a"], name: ["b"]})
    table.write_parquet(tmp_path / "users.parquet")
    table.write_ndjson(tmp_path / "users.jsonl")
    database = sqlite3.connect(tmp_path / "users.db")
    database.execute(f"CREATE TABLE users (id TEXT, {name} TEXT)")
    database.close()
    with pytest.raises(ValueError, match=f"its column {name} has a name that the look-up itself needs"):
        open_lookup(spec.format(tmp_path))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("parket:users.parquet?key=id", "names no known store, did you mean parquet?"),
        ("parquet:?key=id", "has no path"),
        ("parquet:{}/users.parquet", "names no key column"),
        ("parquet:{}/absent.parquet?key=id", "no such file"),
        ("parquet:{}/users.parquet?key=idd", "no column idd, did you mean id?"),
        ("parquet:{}/users.parquet?key=id&columns=teir", "no column teir, did you mean tier?"),
        ("parquet:{}/users.parquet?key=id&colums=tier", "unknown option colums, did you mean columns?"),
        ("parquet:{}/users.jsonl?key=id", "cannot be read"),
        ("jsonl:{}/users.parquet?key=id", "cannot be read"),
        ("parquet:{}/users.parquet?key=tier", "tier is no key: 'gold' stands there more than once"),
        ("parquet:{}/nested.parquet?key=id", "column tags is List"),
        ("sqlite:{}/absent.db?table=users&key=id", "no such file"),
        ("sqlite:{}/users.parquet?table=users&key=id", "file is not a database"),
        ("sqlite:{}/users.db?key=id", "names no table"),
        ("sqlite:{}/users.db?table=user&key=id", "no table user, did you mean users?"),
        ("sqlite:{}/users.db?table=users&key=ident", "no column ident"),
    ],
)
def test_a_wrong_store_is_one_line(tmp_path, spec, message):
    table = pl.DataFrame({"id": ["a", "b"], "tier": ["gold", "gold"]})
    table.write_parquet(tmp_path / "users.parquet")
    table.with_columns(tags=pl.concat_list("tier")).write_parquet(tmp_path / "nested.parquet")
    (tmp_path / "users.jsonl").write_text(json.dumps({"id": "a"}) + "\n")
    database = sqlite3.connect(tmp_path / "users.db")
    database.execute("CREATE TABLE users (id TEXT, tier TEXT)")
    database.close()
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared below
        open_lookup(spec.format(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [100, 4096, 6000])
def test_a_truncated_database_is_one_line(tmp_path, keep):
    path = tmp_path / "x.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT)")
    database.executemany("INSERT INTO t VALUES (?, ?)", [(str(n), "x" * 50) for n in range(500)])
    database.commit()
    database.close()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"sqlite:.*x\.db"):
        open_lookup(f"sqlite:{path}?table=t&key=id")


def test_a_changed_file_is_read_again_and_a_broken_one_fails(tmp_path):
    path = tmp_path / "u.parquet"
    pl.DataFrame({"id": ["a"], "v": [1]}).write_parquet(path)
    store = open_lookup(f"parquet:{path}?key=id")
    pl.DataFrame({"id": ["a", "b"], "v": [2, 3]}).write_parquet(path)
    assert store.fetch(pl.Series(["a", "b"])).sort("key").rows() == [("a", 2, "ok"), ("b", 3, "ok")]
    pl.DataFrame({"id": ["a"], "other": [1]}).write_parquet(path)
    with pytest.raises(LookupFailed, match="other columns than at the start"):
        store.fetch(pl.Series(["a"]))
    path.unlink()
    with pytest.raises(LookupFailed, match=r"u\.parquet"):
        store.fetch(pl.Series(["a"]))


def test_specs_pickle_and_become_absolute():
    spec = parse_spec("sqlite:shop.db?table=users&key=id")
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301  # our own bytes
    assert str(spec.absolute(Path("/data"))) == "sqlite:/data/shop.db?table=users&key=id"
    assert spec.absolute(Path("/data")).absolute(Path("/other")) == spec.absolute(Path("/data"))


def test_another_scheme_registers(places):
    register_lookup("mine", lambda spec: open_lookup(f"parquet:{spec.location}?key={spec.key}"))
    assert open_lookup(f"mine:{places}/users.parquet?key=id").columns == COLUMNS
