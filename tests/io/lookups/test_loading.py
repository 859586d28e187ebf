"""`lookups load`: files into Redis and DynamoDB, the same again when run again, and read back as look-ups."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.io.lookups import open_lookup, parse_spec
from ecompulse.kernels.enrich.lookup import TYPES
from services import s3
from support.process import command

USERS = pl.DataFrame(
    {
        "user_id": [f"u{number}" for number in range(2501)],
        "tier": ["gold", None, "tin"] * 833 + ["gold", "tin"],
        "credit": pl.Series([Decimal(number) / 8 for number in range(2501)], dtype=pl.Decimal(18, 4)),
        "age": range(2501),
        "vip": [True, False, None] * 833 + [True, False],
        "since": [datetime(2026, 1, 1, tzinfo=UTC)] * 2501,
    }
)
KINDS = {"tier": "text", "credit": "decimal", "age": "integer", "vip": "boolean", "since": "text"}


def load(path, to: str, *flags: str, status: int = 0) -> str:
    found, out, said = command("pipelines.lookups", "load", f"--from={path}", f"--to={to}", "--key=user_id", *flags)
    assert found == status, said
    assert (out if status else said) == ""
    assert "\n" not in (said if status else out).strip()
    return (said if status else out).strip()


def read(url: str) -> pl.DataFrame:
    store = open_lookup(replace(parse_spec(url), declared={name: TYPES[kind] for name, kind in KINDS.items()}))
    found = store.fetch(pl.concat([USERS["user_id"], pl.Series(["absent"])]))
    return found.sort("key")


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "users.parquet"
    USERS.write_parquet(path)
    return path


EXPECTED = USERS.select(
    pl.col("user_id").alias("key"),
    "tier",
    "credit",
    "age",
    "vip",
    pl.lit("2026-01-01T00:00:00+00:00").alias("since"),
    pl.lit("ok").alias("status"),
).sort("key")


@pytest.mark.parametrize("form", ["hash", "json"])
def test_a_file_in_redis_is_what_a_look_up_reads(rows, parquet, form):
    to = f"redis://127.0.0.1:{rows.server.port}/0"
    said = load(parquet, to, f"--pattern={rows.pattern}", f"--as={form}")
    assert "2,501 rows; for --enrich: columns: {tier: text, credit: decimal, age: integer, vip: boolean" in said
    url = rows.url(**{"as": form})
    assert read(url).equals(EXPECTED)
    rows.text("u1", "overwritten") if form == "hash" else rows.text("u1", "{}")
    load(parquet, url)
    assert read(url).equals(EXPECTED)


def test_a_row_replaces_what_was_there(rows, tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("user_id,tier,age\n007,gold,1\n")
    load(path, rows.url())
    path.write_text("user_id,tier\n007,tin\n")
    load(path, rows.url(), "--columns=tier")
    with rows.client() as client:
        assert client.hgetall(rows.pattern.format(key="007")) == {"user_id": "007", "tier": "tin"}


def test_whole_numbers_are_written_digit_for_digit(rows, tmp_path):
    path = tmp_path / "users.parquet"
    pl.DataFrame({"user_id": [2**64 - 1], "n": [2**64 - 2]}, schema_overrides={"n": pl.UInt64}).write_parquet(path)
    load(path, rows.url())
    with rows.client() as client:
        key = str(2**64 - 1)
        assert client.hgetall(rows.pattern.format(key=key)) == {"user_id": key, "n": str(2**64 - 2)}


def test_a_file_in_dynamodb_is_what_a_look_up_reads(moto, parquet, monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    path = parquet.with_name("few.parquet")
    USERS.head(60).write_parquet(path)
    flags = (f"--dynamodb_endpoint={moto.facts['url']}", "--create")
    assert "ResourceNotFoundException" in load(path, "dynamodb://loaded", flags[0], status=2)
    load(path, "dynamodb://loaded", *flags)
    load(path, "dynamodb://loaded", *flags)
    found = read(f"dynamodb://loaded?key=user_id&endpoint={moto.facts['url']}")
    assert found.equals(EXPECTED.filter(pl.col("key").is_in(USERS["user_id"].head(60).implode())))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"user_id": ["x" * 3000]}, "ValidationException"),
        ({"user_id": ["a"], "n": [float("nan")]}, "column n holds nan, which DynamoDB cannot"),
        ({"user_id": ["a"], "n": [1e300]}, "Number overflow"),
    ],
)
def test_what_dynamodb_can_never_take_is_wrong_use(moto, tmp_path, monkeypatch, rows, message):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    said = load(
        tmp_path / "rows.parquet",
        "dynamodb://refused",
        f"--dynamodb_endpoint={moto.facts['url']}",
        "--create",
        status=2,
    )
    assert message in said


def test_a_server_that_does_not_answer_may_be_tried_again(parquet, monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    load(parquet, "dynamodb://table", "--dynamodb_endpoint=http://127.0.0.1:1", status=1)
    load(parquet, "redis://127.0.0.1:1/0?pattern={key}", status=1)


def test_a_password_that_redis_does_not_know_is_wrong_use(rows, parquet, monkeypatch):
    monkeypatch.setenv("REDIS_WORD", "wrong")
    load(
        parquet,
        f"redis://127.0.0.1:{rows.server.port}/0?pattern=x:{{key}}&user=nobody&password=env:REDIS_WORD",
        status=2,
    )


def test_what_a_busy_table_leaves_is_written_again(monkeypatch):
    from ecompulse.io.lookups import loading  # noqa: PLC0415

    class Busy:
        written: list[str]

        def batch_write_item(self, RequestItems):  # noqa: N803  # boto3's name
            items = RequestItems["t"]
            self.written += [item["PutRequest"]["Item"]["k"]["S"] for item in items[:10]]
            return {"UnprocessedItems": {"t": items[10:]} if items[10:] else {}}

    busy = Busy()
    busy.written = []
    loading._put(busy, "t", [{"k": {"S": str(number)}} for number in range(25)])
    assert busy.written == [str(number) for number in range(25)]


@pytest.mark.parametrize(
    ("text", "to", "flags", "message"),
    [
        ("user_id,a\n1,2\n1,3\n", "redis://127.0.0.1:1/0?pattern={key}", (), "is no key: '1' stands there more than"),
        ("user_id,a\n,2\n", "redis://127.0.0.1:1/0?pattern={key}", (), "1 rows have no user_id"),
        ("id,a\n1,2\n", "redis://127.0.0.1:1/0?pattern={key}", (), "has no column user_id; it has id, a"),
        ("user_id,a\n1,2\n", "redis://127.0.0.1:1/0?pattern={key}", ("--columns=b",), "has no column b"),
        ("user_id,a\n1,2\n", "redis://127.0.0.1:1/0", (), "give pattern=user:{key}"),
        ("user_id,a\n1,2\n", "sqlite:x.db?table=t", (), "can be filled are redis, rediss and dynamodb"),
        ("user_id,a\n1,2\n", "redis://u:hunter2@127.0.0.1:1/0", (), "must hold no credentials"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, to, flags, message):
    path = tmp_path / "users.csv"
    path.write_text(text)
    said = load(path, to, *flags, status=2)
    assert message in said
    assert "hunter2" not in said


def test_a_server_that_fails_says_how_far_it_came(tmp_path):
    (tmp_path / "users.csv").write_text("user_id,a\n1,2\n")
    said = load(tmp_path / "users.csv", "redis://127.0.0.1:1/0?pattern={key}", status=1)
    assert "Connection refused" in said
    assert "0 rows were written" in said
