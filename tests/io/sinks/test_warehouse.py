"""What a warehouse promises, over SQLite and PostgreSQL."""

import datetime as dt
import json
import sqlite3
from decimal import Decimal

import pytest
import sqlalchemy as sa

from ecompulse.epochs.errors import JobError, StateDamaged, UserError
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.sinks.warehouse import WarehouseSink
from ecompulse.io.sinks.warehouse_schema import MIGRATIONS
from ecompulse.io.stores import LocalStore
from support.warehouse import AT, PLAIN, TABLE, Warehouse


class BoomError(Exception):
    pass


def test_an_epoch_is_written_once(warehouse):
    sink, files = warehouse.sink(), warehouse.write({"money": Decimal("1.2500")})
    for _ in range(2):
        sink.publish(TABLE, 1, files)
    assert warehouse.read("select id, job, epoch, revision from orders") == [("a", "j", 1, 1)]
    assert warehouse.read("select epoch, job from ecompulse_ledger") == [(1, "j")]


def test_an_epoch_that_its_double_wrote_meanwhile_is_not_written(warehouse, monkeypatch):
    sink = warehouse.sink()
    sink.publish(TABLE, 1, warehouse.write({"money": Decimal(1)}))
    monkeypatch.setattr(sink, "_published", lambda *_: 0)  # what it saw before its double committed
    sink.publish(TABLE, 1, warehouse.write({"id": "b"}))
    assert warehouse.read("select id from orders") == [("a",)]


def test_values_are_what_was_written(warehouse):
    lines = [{"n": 1, "t": 'x"y\\'}, {"n": None, "t": ""}]
    row = {"money": Decimal("12345678901.2345"), "lines": lines, "text": 'a,b\n"c" \\N é', "share": 0.1, "final": True}
    warehouse.sink().publish(TABLE, 1, warehouse.write(row, {"id": "b", "text": "", "lines": []}, {"id": "c"}))
    [full, empty, absent] = warehouse.read("select at, money, lines, text, share, final from orders order by id")
    if warehouse.is_sqlite:
        assert full[0] == "2026-01-01T12:00:00.005Z"
        assert str(full[1]) == "12345678901.2345"
        assert json.loads(full[2]) == lines
    else:
        assert full[0] == AT
        assert full[0].utcoffset() == dt.timedelta(0)
        assert full[1] == row["money"]
        assert full[2] == lines
        assert full[5] is True
    assert tuple(full)[3:5] == (row["text"], 0.1)
    assert empty[3] == ""
    assert empty[2] in ("[]", [])
    assert list(absent[1:]) == [None] * 5


def test_the_highest_revision_stands(warehouse):
    sink = warehouse.sink()
    sink.publish(TABLE, 1, warehouse.write({"money": Decimal(1), "revision": 2}))
    sink.publish(TABLE, 2, warehouse.write({"money": Decimal(9)}, {"id": "b"}))
    sink.publish(TABLE, 3, warehouse.write({"id": "b", "money": Decimal(5), "revision": 2}))
    found = warehouse.read("select id, money, revision from orders order by id")
    assert [(name, int(money), revision) for name, money, revision in found] == [("a", 1, 2), ("b", 5, 2)]


def test_several_revisions_in_one_epoch_are_one_row(warehouse):
    rows = [{"money": Decimal(value), "revision": revision} for value, revision in ((1, 1), (3, 3), (2, 2))]
    warehouse.sink().publish(TABLE, 1, warehouse.write(*rows))
    assert [int(money) for (money,) in warehouse.read("select money from orders")] == [3]


def test_a_row_without_revisions_stays_what_it_was(warehouse):
    sink = warehouse.sink()
    sink.publish(PLAIN, 1, warehouse.write({"text": "first"}, {"text": "copy"}))
    sink.publish(PLAIN, 2, warehouse.write({"text": "second"}))
    assert warehouse.read("select text from plain") == [("first",)]


@pytest.mark.parametrize("step", [Step.WAREHOUSE_BEFORE_COMMIT, Step.WAREHOUSE_COMMITTED])
def test_a_crash_around_the_commit_loses_and_doubles_nothing(warehouse, step):
    files = warehouse.write({})

    def die(reached):
        if reached is step:
            raise BoomError

    forget = observe(die)
    with pytest.raises(BoomError):
        warehouse.sink().publish(TABLE, 1, files)
    forget()
    warehouse.sink().publish(TABLE, 1, files)
    assert warehouse.read("select count(*) from orders") == [(1,)]


def test_jobs_that_share_a_table_keep_their_own_rows(warehouse):
    warehouse.sink("cp1").publish(TABLE, 1, warehouse.write({"text": "1"}))
    warehouse.sink("cp2", "k").publish(TABLE, 1, warehouse.write({"text": "2"}, job="k"))
    assert warehouse.read("select job, text from orders order by job") == [("j", "1"), ("k", "2")]


def test_another_instance_has_a_ledger_of_its_own(warehouse):
    warehouse.sink("cp1").publish(TABLE, 5, warehouse.write({}))
    warehouse.sink("cp2", instance="b").publish(TABLE, 1, warehouse.write({"id": "b:a"}, instance="b"))
    assert warehouse.read("select id, instance from orders order by 1") == [("a", None), ("b:a", "b")]
    assert warehouse.read("select checkpoint, epoch from ecompulse_ledger order by 1") == [("cp1", 5), ("cp2", 1)]


def test_rows_of_another_checkpoint_are_refused(warehouse):
    late = warehouse.sink("cp2")  # nobody has written yet
    warehouse.sink("cp1").publish(TABLE, 5, warehouse.write({}))
    for refused in (lambda: warehouse.sink("cp2"), lambda: late.publish(TABLE, 1, warehouse.write({"id": "b"}))):
        with pytest.raises(UserError, match=r"^--warehouse: .* table orders holds rows of j from another.*--replace"):
            refused()
    assert warehouse.read("select count(*) from orders") == [(1,)]


def test_rows_of_another_checkpoint_are_replaced_in_one_transaction(warehouse):
    old = warehouse.sink("cp1")
    old.publish(TABLE, 5, warehouse.write({}, {"id": "b"}))
    warehouse.sink("cp3", instance="x").publish(TABLE, 1, warehouse.write({"id": "x:a"}, instance="x"))
    new = warehouse.sink("cp2", replace=True)
    assert warehouse.read("select count(*) from orders") == [(3,)]
    new.publish(TABLE, 1, warehouse.write({"text": "new"}))
    new.publish(TABLE, 1, warehouse.write({"text": "again"}))
    assert warehouse.read("select id, text from orders order by 1") == [("a", "new"), ("x:a", None)]
    with pytest.raises(UserError, match="from another checkpoint"):
        old.publish(TABLE, 6, warehouse.write({"id": "late"}))
    warehouse.sink("cp2").publish(TABLE, 2, warehouse.write({"id": "c"}))
    assert warehouse.read("select id from orders order by 1") == [("a",), ("c",), ("x:a",)]


def test_an_epoch_without_rows_replaces_too(warehouse):
    warehouse.sink("cp1").publish(TABLE, 5, warehouse.write({}))
    warehouse.sink("cp2", replace=True).publish(TABLE, 1, [])
    assert warehouse.read("select count(*) from orders") == [(0,)]


def test_a_new_column_is_added(warehouse):
    warehouse.sink().publish(TABLE, 1, warehouse.write({"money": Decimal(1)}))
    warehouse.execute(
        f"alter table orders drop column money {'' if warehouse.is_sqlite else 'cascade'}"
    )  # the view goes too
    warehouse.sink().publish(TABLE, 2, warehouse.write({"id": "b", "money": Decimal(2)}))
    assert [money and int(money) for (money,) in warehouse.read("select money from orders order by id")] == [None, 2]


KEYED = "id text, job text, primary key (id, job)"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("create table orders (a int)", "has no key of id and job"),
        ("create table orders (id text primary key, job text)", "has no key of id and job"),
        ("create view orders as select 'a' as id, 'b' as job", "is a view"),
        (f"create table orders (must int not null, {KEYED})", "wants a value of must"),
    ],
)
def test_another_table_of_the_name_is_refused_at_the_start(warehouse, made, said):
    warehouse.execute(made)
    with pytest.raises(UserError, match=f"table orders is not one of ours: it {said}"):
        warehouse.sink()


def test_a_table_that_was_given_more_columns_and_another_key_is_written(warehouse):
    warehouse.execute("create table orders (id text not null, job text not null, mine text, must int default 1)")
    warehouse.execute("create unique index mine on orders (job, id)")
    warehouse.sink().publish(TABLE, 1, warehouse.write({"id": "a"}))
    assert warehouse.read("select id, must from orders") == [("a", 1)]


def test_a_table_has_an_index_by_time_and_gets_it_when_it_lacks_it(warehouse):
    warehouse.sink().publish(TABLE, 1, warehouse.write({"money": Decimal(1)}))
    warehouse.execute("drop index orders_by_time")
    warehouse.sink().publish(TABLE, 2, warehouse.write({"id": "b"}))
    [index] = sa.inspect(warehouse.engine).get_indexes("orders")
    assert (index["name"], index["column_names"]) == ("orders_by_time", ["at"])


def test_a_ledger_from_before_there_were_versions_goes_on(warehouse):
    warehouse.execute(
        "create table ecompulse_ledger (checkpoint text not null, table_name text not null, epoch bigint not null, "
        "primary key (checkpoint, table_name))"
    )
    warehouse.execute("insert into ecompulse_ledger values ('cp1', 'orders', 3)")
    sink = warehouse.sink()
    sink.publish(TABLE, 3, warehouse.write({}))
    sink.publish(TABLE, 4, warehouse.write({"id": "b"}))
    assert warehouse.read("select id from orders") == [("b",)]
    assert warehouse.read("select version from ecompulse_schema order by 1") == [
        (number,) for number in range(1, len(MIGRATIONS) + 1)
    ]
    assert warehouse.read("select epoch, job from ecompulse_ledger") == [(4, "j")]


def test_a_database_of_a_newer_version_is_left_alone(warehouse):
    warehouse.sink().publish(TABLE, 1, warehouse.write({}))
    warehouse.execute("insert into ecompulse_schema values (99)")
    with pytest.raises(JobError, match="ecompulse_schema is at version 99, this version of the jobs knows"):
        warehouse.sink().publish(TABLE, 2, warehouse.write({"id": "b"}))
    assert warehouse.read("select id from orders") == [("a",)]


def test_a_file_that_is_not_what_was_sealed_is_not_written(warehouse):
    files = warehouse.write({})
    warehouse.write({"id": "other"})
    (warehouse.folder / "2.parquet").replace(warehouse.folder / "1.parquet")
    with pytest.raises(StateDamaged, match="its content is not what was sealed"):
        warehouse.sink().publish(TABLE, 1, files)


def test_nothing_is_created_before_the_first_write(warehouse):
    warehouse.sink().publish(TABLE, 1, [])
    if warehouse.is_sqlite:
        assert not (warehouse.folder / "w.db").exists()
    else:
        assert not sa.inspect(warehouse.engine).get_table_names()


def test_errors_are_one_line_without_a_password(tmp_path):
    with pytest.raises(UserError, match="--warehouse: mysql is not supported"):
        WarehouseSink("mysql://u:geheim@h/d", LocalStore(str(tmp_path)))
    with pytest.raises(UserError, match="--warehouse: "):
        WarehouseSink("nonsense", LocalStore(str(tmp_path)))
    (tmp_path / "w.db").write_text("this is no database, and long enough to be looked at " * 50)
    broken = Warehouse(tmp_path, f"sqlite:///{tmp_path / 'w.db'}")
    with pytest.raises(UserError, match="file is not a database"):
        broken.sink()


def test_another_writer_of_sqlite_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("ecompulse.io.sinks.database.BUSY_SECONDS", 0.1)
    warehouse = Warehouse(tmp_path, f"sqlite:///{tmp_path / 'w.db'}")
    sink, files = warehouse.sink(), warehouse.write({})
    with sqlite3.connect(tmp_path / "w.db", isolation_level=None) as other:
        other.execute("begin immediate")
        with pytest.raises(JobError, match="database is locked"):
            sink.publish(TABLE, 1, files)
        other.execute("rollback")
    other.close()
    sink.publish(TABLE, 1, files)
    assert warehouse.read("select count(*) from orders") == [(1,)]
