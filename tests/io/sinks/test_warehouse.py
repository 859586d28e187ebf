import datetime as dt
import sqlite3
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import DataFile, TableSpec
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.sinks.warehouse import WarehouseSink
from ecompulse.io.stores import LocalStore

SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "at": pl.Datetime("ms", "UTC"),
        "money": pl.Decimal(18, 4),
        "lines": pl.List(pl.Struct({"n": pl.Int64()})),
        "revision": pl.Int64(),
    }
)
TABLE = TableSpec("orders", SCHEMA, "at", warehouse=True, revised=True)
AT = dt.datetime(2026, 1, 1, 12, 0, 0, 5000, tzinfo=dt.UTC)


class BoomError(Exception):
    pass


@pytest.fixture
def sink(tmp_path):
    made = WarehouseSink(f"sqlite:///{tmp_path / 'w.db'}", LocalStore(str(tmp_path)))
    made.open([TABLE], "cp1")
    return made


def write(tmp_path, rows, name="f.parquet", job="j"):
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(
        pl.col("at").cast(pl.Datetime("us", "UTC")), job=pl.lit(job), epoch=pl.lit(1, pl.Int64)
    )
    frame.write_parquet(tmp_path / name)
    return [DataFile(name, frame.height, 1, "", "2026-01-01")]


def read(tmp_path, sql="select id, at, money, lines, revision from orders order by id"):
    with sqlite3.connect(tmp_path / "w.db") as connection:
        return connection.execute(sql).fetchall()


def test_an_epoch_is_written_once(tmp_path, sink):
    files = write(tmp_path, [("a", AT, Decimal("1.2500"), [{"n": 1}], 1)])
    sink.publish(TABLE, 1, files)
    sink.publish(TABLE, 1, files)
    assert read(tmp_path) == [("a", "2026-01-01T12:00:00.005Z", 1.25, '[{"n": 1}]', 1)]
    assert read(tmp_path, "select epoch from ecompulse_ledger") == [(1,)]


def test_the_highest_revision_stands(tmp_path, sink):
    sink.publish(TABLE, 1, write(tmp_path, [("a", AT, Decimal(1), [], 2)]))
    sink.publish(TABLE, 2, write(tmp_path, [("a", AT, Decimal(9), [], 1), ("b", AT, None, None, 1)]))
    sink.publish(TABLE, 3, write(tmp_path, [("b", AT, Decimal(5), [], 2)]))
    assert [(row[0], row[2], row[4]) for row in read(tmp_path)] == [("a", 1, 2), ("b", 5, 2)]


@pytest.mark.parametrize("step", [Step.WAREHOUSE_BEFORE_COMMIT, Step.WAREHOUSE_COMMITTED])
def test_a_crash_around_the_commit_loses_and_doubles_nothing(tmp_path, sink, step):
    files = write(tmp_path, [("a", AT, Decimal(1), [], 1)])

    def die(reached):
        if reached is step:
            raise BoomError

    forget = observe(die)
    with pytest.raises(BoomError):
        sink.publish(TABLE, 1, files)
    forget()
    again = WarehouseSink(sink.url, sink.outputs)
    again.open([TABLE], "cp1")
    again.publish(TABLE, 1, files)
    assert len(read(tmp_path)) == 1


def test_jobs_that_share_a_table_keep_their_own_rows(tmp_path, sink):
    sink.publish(TABLE, 1, write(tmp_path, [("a", AT, Decimal(1), [], 1)]))
    sink.open([TABLE], "cp2")
    sink.publish(TABLE, 1, write(tmp_path, [("a", AT, Decimal(2), [], 1)], job="k"))
    assert read(tmp_path, "select job, money from orders order by job") == [("j", 1), ("k", 2)]


def test_another_checkpoint_has_a_ledger_of_its_own(tmp_path, sink):
    sink.publish(TABLE, 5, write(tmp_path, [("a", AT, Decimal(1), [], 1)]))
    sink.open([TABLE], "cp2")
    sink.publish(TABLE, 1, write(tmp_path, [("b", AT, Decimal(1), [], 1)]))
    assert len(read(tmp_path)) == 2


def test_an_amount_keeps_fifteen_digits_in_sqlite(tmp_path, sink):
    sink.publish(TABLE, 1, write(tmp_path, [("a", AT, Decimal("12345678901.2345"), [], 1)]))
    assert str(read(tmp_path)[0][2]) == "12345678901.2345"


def test_a_new_column_is_added(tmp_path, sink):
    sink.publish(TABLE, 1, write(tmp_path, [("a", AT, Decimal(1), [], 1)]))
    with sqlite3.connect(tmp_path / "w.db") as connection:
        connection.execute("alter table orders drop column money")
    again = WarehouseSink(sink.url, sink.outputs)
    again.open([TABLE], "cp1")
    again.publish(TABLE, 2, write(tmp_path, [("b", AT, Decimal(2), [], 1)]))
    assert [row[2] for row in read(tmp_path)] == [None, 2]


def test_nothing_is_created_before_the_first_write(tmp_path, sink):
    sink.publish(TABLE, 1, [])
    assert not (tmp_path / "w.db").exists()


def test_errors_are_one_line_without_a_password(tmp_path):
    with pytest.raises(UserError, match="--warehouse: "):
        WarehouseSink("mysql://u:secret@h/d", LocalStore(str(tmp_path)))
    with pytest.raises(UserError, match="--warehouse: "):
        WarehouseSink("nonsense", LocalStore(str(tmp_path)))
    (tmp_path / "w.db").write_text("this is no database, and long enough to be looked at " * 50)
    made = WarehouseSink(f"sqlite:///{tmp_path / 'w.db'}", LocalStore(str(tmp_path)))
    made.open([TABLE], "cp1")
    with pytest.raises(JobError, match="file is not a database") as caught:
        made.publish(TABLE, 1, write(tmp_path, [("a", AT, Decimal(1), [], 1)]))
    assert "secret" not in str(caught.value)
