"""Look-ups in DynamoDB as moto serves it: types, hundreds, what is left unprocessed, one line for what is wrong."""

import pickle
import uuid
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.io.lookups import LookupFailed, parse_spec
from ecompulse.io.lookups.dynamodb import CHUNK, DynamoStore
from ecompulse.kernels.enrich.lookup import TYPES
from services import s3

DECLARED = {"tier": TYPES["text"], "credit": TYPES["decimal"], "age": TYPES["integer"], "vip": TYPES["boolean"]}


@pytest.fixture
def client(moto, monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return s3.client(moto, "dynamodb")


def make(client, kind="S", *keys: str) -> str:
    name = f"users-{uuid.uuid4().hex[:8]}"
    names = keys or ("user_id",)
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": ("HASH", "RANGE")[at]} for at, key in enumerate(names)],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key in names],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def opened(moto, table: str, more: str = "") -> DynamoStore:
    spec = parse_spec(f"dynamodb://{table}?key=user_id&endpoint={moto.facts['url']}{more}")
    return DynamoStore(replace(spec, declared=DECLARED, timeout=30))


def put(client, table: str, **item: object) -> None:
    client.put_item(TableName=table, Item=item)


def found(store: DynamoStore, *keys: str) -> dict[str, tuple]:
    frame = store.fetch(pl.Series(keys, dtype=pl.String))
    assert frame.schema == pl.Schema({"key": pl.String, **DECLARED, "status": pl.String})
    return {row[0]: row[1:] for row in frame.rows()}


def test_items_become_typed_columns(client, moto):
    table = make(client)
    good = {"tier": {"S": "gold"}, "credit": {"N": "12.5"}, "age": {"N": "41"}, "vip": {"BOOL": True}}
    put(client, table, user_id={"S": "1"}, more={"L": []}, **good)
    put(client, table, user_id={"S": "texts"}, credit={"S": "12.5"}, age={"S": "41"}, tier={"NULL": True})
    put(client, table, user_id={"S": "bad"}, tier={"SS": ["a"]}, age={"N": "4.5"}, vip={"S": "perhaps"})
    store = pickle.loads(pickle.dumps(opened(moto, table)))  # noqa: S301  # our own
    store.check()
    assert found(store, "1", "texts", "bad", "absent", "", "x" * 3000) == {
        "1": ("gold", Decimal("12.5000"), 41, True, "ok"),
        "texts": (None, Decimal("12.5000"), 41, None, "ok"),
        "bad": (None, None, None, None, "malformed"),
    }


def test_numeric_keys(client, moto):
    table = make(client, "N")
    put(client, table, user_id={"N": "7"}, tier={"S": "gold"})
    assert found(opened(moto, table), "7", "07", "7.0", "x", "8") == {"7": ("gold", None, None, None, "ok")}


@pytest.mark.slow
def test_more_keys_than_a_request_takes_and_items_too_large_for_one_answer(client, moto):
    table = make(client)
    for number in range(2 * CHUNK + 1):
        put(client, table, user_id={"S": str(number)}, age={"N": str(number)})
    for number in range(60):  # an answer holds 16 MB, the rest is left unprocessed
        put(client, table, user_id={"S": f"large{number}"}, tier={"S": "x" * 390_000})
    keys = [{"user_id": {"S": f"large{number}"}} for number in range(60)]
    assert client.batch_get_item(RequestItems={table: {"Keys": keys}})["UnprocessedKeys"]
    store = opened(moto, table)
    asked = [str(number) for number in range(2 * CHUNK + 1)]
    assert {key: row[2] for key, row in found(store, *asked).items()} == {key: int(key) for key in asked}
    large = found(store, *(f"large{number}" for number in range(60)))
    assert {len(row[0]) for row in large.values()} == {390_000}
    assert len(large) == 60


def answering(store, answer):
    """A store whose requests for items are answered otherwise."""
    real = store._connected()

    class Client:
        describe_table = real.describe_table

        @staticmethod
        def batch_get_item(RequestItems: dict) -> dict:  # noqa: N803  # boto3's name
            return answer(RequestItems)

    store._client = Client()
    return store


def test_a_text_that_is_no_unicode_spoils_no_other_item(client, moto):
    def careless(asked: dict) -> dict:
        [table] = asked
        texts = {"good": "gold", "bad": "\ud800"}
        return {"Responses": {table: [{"user_id": {"S": key}, "tier": {"S": text}} for key, text in texts.items()]}}

    store = answering(opened(moto, make(client)), careless)
    assert found(store, "good", "bad") == {
        "good": ("gold", None, None, None, "ok"),
        "bad": (None, None, None, None, "malformed"),
    }


def test_a_table_that_stays_throttled_is_a_failed_look_up(client, moto, monkeypatch):
    monkeypatch.setattr("ecompulse.io.lookups.dynamodb.ATTEMPTS", 2)
    store = answering(opened(moto, make(client)), lambda asked: {"Responses": {}, "UnprocessedKeys": asked})
    with pytest.raises(LookupFailed, match="left unprocessed: the table is throttled"):
        store.fetch(pl.Series(["1"]))


def test_what_is_wrong_is_one_line(client, moto, monkeypatch):
    for table, message in (
        ("no-such-table", "ResourceNotFoundException"),
        (make(client, "S", "user_id", "day"), "its key is user_id, day, not user_id"),
        (make(client, "S", "id"), "its key is id, not user_id"),
        (make(client, "B"), "must be text or a number"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            opened(moto, table).check()
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="write dynamodb://TABLE"):
        opened(moto, "a/b")
    with pytest.raises(ValueError, match="unknown option ednpoint"):
        opened(moto, "users", "&ednpoint=x")
    with pytest.raises(LookupFailed, match="Could not connect to the endpoint"):
        opened(moto, "users", "&endpoint=http://127.0.0.1:1").check()
