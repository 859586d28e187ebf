"""PostgreSQL when it is wrong, slow, killed, or held up by a writer that sleeps."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from ecompulse.epochs.errors import JobError, Unusable, UserError
from ecompulse.epochs.sinks import Owner
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.sinks import database
from ecompulse.io.sinks.warehouse import WarehouseSink
from ecompulse.io.stores import LocalStore
from services import postgres as server_of
from support.warehouse import TABLE, Warehouse

pytestmark = pytest.mark.slow


def test_decimals_are_exact_to_the_last_digit(in_postgres):
    in_postgres.sink().publish(TABLE, 1, in_postgres.write({"money": Decimal("12345678901234.5678")}))
    assert in_postgres.read("select money from orders") == [(Decimal("12345678901234.5678"),)]


def test_what_postgresql_cannot_hold_in_a_text_stops_no_job(in_postgres):
    row = {"text": "a\x00b", "lines": [{"n": 1, "t": "c\x00d \\u0000"}]}
    in_postgres.sink().publish(TABLE, 1, in_postgres.write(row))
    assert in_postgres.read("select text, lines from orders") == [("a\ufffdb", [{"n": 1, "t": "c\ufffdd \\u0000"}])]


def test_the_connection_is_encrypted(in_postgres):
    sink = in_postgres.sink()
    with sink._engine.connect() as connection:
        assert connection.scalar(sa.text("select ssl from pg_stat_ssl where pid = pg_backend_pid()")) is True


def broken(url: str, what: str, tmp_path) -> str:
    made = sa.make_url(url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        changed = {
            "password": made.set(password="geheim"),  # noqa: S106  # a wrong one
            "user": made.set(username="nobody"),
            "database": made.set(database="nowhere"),
            "plain": made.set(query={"sslmode": "disable"}),
            "authority": made.update_query_dict({"sslrootcert": str(other_authority(tmp_path))}),
            "no authority": made.update_query_dict({"sslrootcert": str(tmp_path / "gone.pem")}),
            "host": made.set(host="nowhere.invalid"),
            "port": made.set(port=closed.getsockname()[1]),
        }[what]
    return changed.render_as_string(hide_password=False)


def other_authority(tmp_path):
    from services.certificates import make_certificates  # noqa: PLC0415

    return make_certificates(tmp_path / "other").authority


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("password", 'password authentication failed for user "app"'),
        ("user", 'password authentication failed for user "nobody"'),
        ("database", 'database "nowhere" does not exist'),
        ("plain", "no pg_hba.conf entry"),
        ("authority", "certificate verify failed"),
        ("no authority", "gone.pem"),
        ("host", "nowhere.invalid"),
        ("port", "Connection refused"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_at_the_start(in_postgres, tmp_path, what, said):
    sink = WarehouseSink(broken(in_postgres.url, what, tmp_path), LocalStore(str(tmp_path)))
    with pytest.raises(JobError if what in {"host", "port"} else UserError) as caught:
        sink.open([TABLE], Owner("test", "cp1"))
    line = str(caught.value)
    assert line.startswith("--warehouse: warehouse:postgresql+psycopg://")
    assert said in line
    assert "\n" not in line
    assert "geheim" not in line
    assert sa.make_url(in_postgres.url).password not in line


def test_a_user_who_may_not_write_is_refused_at_the_start(in_postgres, postgres, tmp_path):
    own = sa.make_url(in_postgres.url).set(username="reader").render_as_string(hide_password=False)
    sink = WarehouseSink(own, LocalStore(str(tmp_path)))
    with pytest.raises(UserError, match="permission denied: CREATE on schema public"):
        sink.open([TABLE], Owner("test", "cp1"))
    in_postgres.sink().publish(TABLE, 1, in_postgres.write({}))
    in_postgres.execute("grant select, insert, update on ecompulse_ledger to reader")
    in_postgres.execute("grant select, insert on orders to reader")
    with pytest.raises(UserError, match="permission denied: UPDATE on table orders"):
        sink.open([TABLE], Owner("test", "cp1"))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("money numeric(38, 1)", r"has money as NUMERIC\(38, 1\), not NUMERIC\(38, 4\)"),
        ("money real", "has money as REAL"),
        ("at timestamp", "has at as TIMESTAMP WITHOUT TIME ZONE, not TIMESTAMP WITH TIME ZONE"),
        ("text varchar(5)", r"has text as VARCHAR\(5\), not TEXT"),
        ("revision bigint generated always as (1) stored", "makes revision itself"),
    ],
)
def test_a_column_that_would_change_what_is_written_is_refused_at_the_start(in_postgres, column, said):
    in_postgres.execute(f"create table orders (id text, job text, {column}, primary key (id, job))")
    with pytest.raises(UserError, match=f"table orders is not one of ours: it {said}"):
        in_postgres.sink()


def test_wider_columns_are_written(in_postgres):
    columns = "id varchar, job text, money numeric, lines json, text varchar"
    in_postgres.execute(f"create table orders ({columns}, primary key (id, job))")
    in_postgres.sink().publish(TABLE, 1, in_postgres.write({"money": Decimal("1.2345"), "lines": [{"n": 1, "t": "x"}]}))
    assert in_postgres.read("select money, lines from orders") == [(Decimal("1.2345"), [{"n": 1, "t": "x"}])]
    in_postgres.sink()


def test_a_column_that_is_changed_under_the_job_stops_it_at_once(in_postgres):
    sink = in_postgres.sink()
    sink.publish(TABLE, 1, in_postgres.write({}))
    in_postgres.execute("drop view orders_latest")
    in_postgres.execute("alter table orders alter text type varchar(3)")
    with pytest.raises(Unusable, match="table orders: value too long"):
        sink.publish(TABLE, 2, in_postgres.write({"text": "long"}))


def test_jobs_that_start_at_once_make_the_tables_once(in_postgres):
    files, errors = [in_postgres.write({"id": str(number)}, job=f"job{number}") for number in range(6)], []

    def publish(number):
        try:
            in_postgres.sink(f"cp{number}", f"job{number}").publish(TABLE, 1, files[number])
        except JobError as error:
            errors.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert in_postgres.read("select count(*) from orders") == [(6,)]


def test_cut_off_after_every_statement_and_published_again(in_postgres):
    """The server ends our session after the n-th statement, for every n until publishing gets through."""
    files, number = in_postgres.write({}, {"id": "b"}), 0
    while True:
        number += 1
        in_postgres.execute("drop table if exists orders, ecompulse_ledger, ecompulse_schema cascade")
        sink, left = in_postgres.sink(), number

        def cut(connection: sa.Connection, *_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                in_postgres.execute(
                    f"select pg_terminate_backend({connection.connection.driver_connection.info.backend_pid})"
                )

        sa.event.listen(sink._engine, "after_cursor_execute", cut)
        with suppress(JobError):
            sink.publish(TABLE, 1, files)
        in_postgres.sink().publish(TABLE, 1, files)
        assert in_postgres.read("select id from orders order by id") == [("a",), ("b",)]
        assert in_postgres.read("select epoch from ecompulse_ledger") == [(1,)]
        if left > 0:
            break
    assert number > 10


WRITER = """
import os, signal, sys
from ecompulse.epochs.steps import Step, observe
from support.warehouse import TABLE, Warehouse
from ecompulse.epochs.sinks import DataFile
from ecompulse.io.sinks import database
folder, url, file, sha256 = sys.argv[1:]
database.IDLE_SECONDS = 3
def act(step):
    if step is Step.WAREHOUSE_BEFORE_COMMIT:
        print("within", flush=True)
        {act}
observe(act)
Warehouse(folder, url).sink().publish(TABLE, 1, [DataFile(file, 1, 1, sha256, "2026-01-01")])
"""


def writer(warehouse: Warehouse, files, act: str) -> "subprocess.Popen[str]":
    arguments = [str(warehouse.folder), warehouse.url, files[0].path, files[0].sha256]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    code = WRITER.format(act=act)
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def test_a_writer_that_was_killed_within_its_transaction_leaves_nothing(in_postgres):
    files = in_postgres.write({})
    killed = writer(in_postgres, files, "os._exit(9)")
    assert killed.wait(60) == 9
    sink = in_postgres.sink()
    sink.publish(TABLE, 1, files)
    assert in_postgres.read("select count(*) from orders") == [(1,)]


def test_a_writer_that_sleeps_within_its_transaction_does_not_hold_up_its_successor_for_ever(in_postgres, monkeypatch):
    monkeypatch.setattr(database, "LOCK_SECONDS", 1)
    files = in_postgres.write({})
    in_postgres.sink("other", "k").publish(TABLE, 1, files)  # the tables are there
    act = "os.kill(os.getpid(), signal.SIGSTOP)"
    asleep = writer(in_postgres, files, act)
    asleep.stdout.readline()
    try:
        sink = in_postgres.sink()
        with pytest.raises(JobError, match="lock timeout"):
            sink.publish(TABLE, 1, files)
        began = time.monotonic()
        while time.monotonic() - began < 2 * database.IDLE_SECONDS:
            with suppress(JobError):
                sink.publish(TABLE, 1, files)
                break
        asleep.send_signal(signal.SIGCONT)
        asleep.wait(60)
        assert asleep.returncode != 0, "its session was ended; it must not believe that it has written"
    finally:
        asleep.kill()
        asleep.stdout.close()
    assert in_postgres.read("select checkpoint, epoch from ecompulse_ledger order by 1") == [("cp1", 1), ("other", 1)]


@pytest.fixture
def own(tmp_path):
    with server_of.own(tmp_path / "server") as server:
        yield server


def test_a_server_that_is_killed_and_comes_back_is_written_to(own, tmp_path):
    warehouse = Warehouse(tmp_path, own.facts["url"])
    sink, files = warehouse.sink(), warehouse.write({})
    sink.publish(TABLE, 1, files)
    seen = []

    def kill(step):
        if step is Step.WAREHOUSE_BEFORE_COMMIT and not seen:
            seen.append(step)
            own.kill()

    forget = observe(kill)
    more = warehouse.write({"id": "b"})
    with pytest.raises(JobError) as caught:
        sink.publish(TABLE, 2, more)
    forget()
    assert "\n" not in str(caught.value)
    with pytest.raises(JobError, match="Connection refused"):
        sink.publish(TABLE, 2, more)
    own.restart()
    sink.publish(TABLE, 2, more)
    assert warehouse.read("select id from orders order by id") == [("a",), ("b",)]


def test_a_server_that_hangs_is_given_up(own, tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path, own.facts["url"])
    sink, files = warehouse.sink(), warehouse.write({})
    sink.publish(TABLE, 1, files)
    monkeypatch.setattr(database.bounded.__wrapped__, "__defaults__", (2.0,))

    def pause(step):
        if step is Step.WAREHOUSE_BEFORE_COMMIT:
            own.pause()

    forget, began = observe(pause), time.monotonic()
    with pytest.raises(JobError):
        sink.publish(TABLE, 2, files)
    forget()
    assert time.monotonic() - began < 30
    own.resume()
    sink.publish(TABLE, 2, files)
