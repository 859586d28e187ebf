"""Look-ups in a real Redis: types, absent and malformed values, access, one line for what is wrong."""

import json
import pickle
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.io.lookups import LookupFailed, parse_spec
from ecompulse.io.lookups.redis import CHUNK, RedisStore
from ecompulse.kernels.enrich.lookup import TYPES
from ecompulse.kernels.enrich.versions import to_versions
from ecompulse.transforms.decode import event_frame
from services.redis import PASSWORDS

DECLARED = {
    "tier": TYPES["text"], "credit": TYPES["decimal"], "age": TYPES["integer"], "score": TYPES["number"],
    "vip": TYPES["boolean"],
}  # fmt: skip


def opened(url: str, **changes: float) -> RedisStore:
    return RedisStore(replace(parse_spec(url), declared=DECLARED, **changes))


def found(store: RedisStore, *keys: str) -> dict[str, tuple]:
    frame = store.fetch(pl.Series(keys, dtype=pl.String))
    assert frame.schema == pl.Schema({"key": pl.String, **DECLARED, "status": pl.String})
    return {row[0]: row[1:] for row in frame.rows()}


GOOD = ("gold", Decimal("12.5000"), 41, 0.25, True, "ok")


def test_hashes_become_typed_columns(rows):
    rows.hashes({
        "1": {"tier": "gold", "credit": "12.50", "age": "41", "score": "0.25", "vip": "true", "more": "x"},
        "bare": {"more": "x"},
        "bad": {"tier": "tin", "credit": "much", "age": "4.5", "score": "nan", "vip": "perhaps"},
        "bytes": {"tier": b"\xff\xfe", "age": "1"},
    })  # fmt: skip
    rows.text("string", "no hash")
    store = opened(rows.url())
    assert found(store, "1", "bare", "bad", "bytes", "string", "absent", "") == {
        "1": GOOD,
        "bare": (None, None, None, None, None, "ok"),
        "bad": ("tin", None, None, None, None, "malformed"),
        "bytes": (None, None, 1, None, None, "malformed"),
        "string": (None, None, None, None, None, "malformed"),
    }


def test_texts_of_json_become_typed_columns(rows):
    rows.text("1", '{"tier": "gold", "credit": 12.50, "age": 41, "score": 0.25, "vip": true, "more": [1]}')
    rows.text("exact", '{"credit": 10000000000000.0001}')
    rows.text("bad", '{"tier": {"a": 1}, "age": 1}')
    rows.text("nan", '{"score": NaN}')
    rows.text("list", "[1]")
    rows.text("rubbish", b"\xff{")
    rows.text("half a pair", '{"tier": "\\ud800", "age": 7, "more": "\\udfff"}')
    rows.hashes({"hash": {"tier": "gold"}})
    asked = ("1", "exact", "bad", "nan", "list", "rubbish", "half a pair", "hash", "-")
    assert found(opened(rows.url(**{"as": "json"})), *asked) == {
        "1": GOOD,
        "exact": (None, Decimal("10000000000000.0001"), None, None, None, "ok"),
        "bad": (None, None, 1, None, None, "malformed"),
        "nan": (None, None, None, None, None, "malformed"),
        "list": (None, None, None, None, None, "malformed"),
        "rubbish": (None, None, None, None, None, "malformed"),
        "half a pair": (None, None, 7, None, None, "malformed"),
    }  # MGET gives nothing for a key that holds a hash


def test_an_update_stream_reads_values_as_redis_does(rows):
    values = [
        5,
        5.5,
        -1,
        0,
        1,
        True,
        False,
        None,
        "5",
        "5.0",
        "TRUE",
        "0",
        "NaN",
        "inf",
        "1e3",
        "",
        " 5",
        "12,50",
        2**63,
    ]
    values += [10**14, "99999999999999.9999", "it's", [1], {"a": 1}, "[1]"]
    for number, value in enumerate(values):
        rows.text(str(number), json.dumps(dict.fromkeys(TYPES, value)))
    store = RedisStore(replace(parse_spec(rows.url(**{"as": "json"})), declared=TYPES))
    looked_up = store.fetch(pl.Series([str(number) for number in range(len(values))]))
    change = {"event_id": "1", "event_type": "user_update", "event_time": "2026-03-01T00:00:00Z", "user_id": "u"}
    changes = event_frame([{**change, **dict.fromkeys(TYPES, value)} for value in values])
    found = to_versions(changes, "user", TYPES)
    assert found.select(f"version_user_{kind}" for kind in TYPES).rows() == looked_up.select(list(TYPES)).rows()
    assert found["version_malformed_user"].to_list() == (looked_up["status"] == "malformed").to_list()


@pytest.mark.parametrize("form", ["hash", "json"])
def test_many_keys_take_a_round_trip_per_chunk(rows, form):
    asked = [str(number) for number in range(2 * CHUNK + 1)]
    for key in asked[::500]:
        rows.hashes({key: {"age": key}}) if form == "hash" else rows.text(key, f'{{"age": {key}}}')
    store = opened(rows.url(**{"as": form}))
    with rows.client() as client:
        before = client.info("stats")["total_net_input_bytes"]
        assert {key: row[2] for key, row in found(store, *asked).items()} == {key: int(key) for key in asked[::500]}
        assert client.info("stats")["total_net_input_bytes"] > before
    assert found(store) == {}


def test_a_store_travels_without_its_connections(rows):
    rows.hashes({"1": {"tier": "gold"}})
    store = opened(rows.url(columns="tier"))
    expected = pl.DataFrame({"key": ["1"], "tier": ["gold"], "status": ["ok"]})
    assert store.fetch(pl.Series(["1"])).equals(expected)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301  # our own
    assert copy.fetch(pl.Series(["1"])).equals(expected)


def test_tls_and_users(rows, monkeypatch, tmp_path):
    rows.hashes({"1": {"tier": "gold"}})
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORDS["shop"])
    (tmp_path / "secret").write_text(PASSWORDS["stranger"] + "\n")
    secure = f"{rows.server.facts['secure']}?pattern={rows.pattern}&ca={rows.server.facts['authority']}"
    store = opened(f"{secure}&user=shop&password=env:SHOP_PASSWORD")
    store.check()
    assert found(store, "1")["1"][0] == "gold"
    with pytest.raises(ValueError, match=r"NOPERM|[Nn]o permissions") as denied:
        opened(f"{secure}&user=stranger&password=file:{tmp_path}/secret").check()
    with pytest.raises(ValueError, match="invalid username-password pair") as wrong:
        opened(f"{secure}&user=shop&password=file:{tmp_path}/secret").check()
    untrusted = f"{rows.server.facts['secure']}?pattern={rows.pattern}&user=shop&password=env:SHOP_PASSWORD"
    with pytest.raises(ValueError, match="certificate verify failed") as unknown:
        opened(untrusted).check()
    for caught in (denied, wrong, unknown):
        assert "\n" not in str(caught.value)
        assert not any(password in str(caught.value) for password in PASSWORDS.values())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://127.0.0.1:1/0?pattern=u:{key}", "Connection refused"),
        ("redis://no-such-host.invalid/0?pattern=u:{key}", "no-such-host.invalid"),
        ("redis://h/0?pattern=u", "give pattern=user:{key}"),
        ("redis://h/0", "give pattern=user:{key}"),
        ("redis://h/zero?pattern={key}", "write redis://HOST:PORT/DATABASE"),
        ("redis://h:port/0?pattern={key}", "write redis://HOST:PORT/DATABASE"),
        ("redis://h/0?pattern={key}&as=list", "is neither hash nor json"),
        ("redis://h/0?patern={key}", "unknown option patern.*pattern"),
        ("redis://h/0?pattern={key}&columns=teir", "column teir is not declared.*tier"),
        ("rediss://h/0?pattern={key}&ca=/no/ca.pem", "ca: no such file: /no/ca.pem"),
        ("redis://h/0?pattern={key}&password=env:NOT_SET_HERE", "variable NOT_SET_HERE is not set"),
        ("redis://shop:hunter2@h/0?pattern={key}", "must hold no credentials"),
        ("redis://h/0?pattern={key}&password=hunter2", "must hold no credentials"),
        ("redos://shop:hunter2@h/0?pattern={key}", "must hold no credentials"),
    ],
)
def test_what_is_wrong_is_one_line(url, message):
    with pytest.raises(LookupFailed if "/0?pattern=u:" in url else ValueError, match=message) as caught:
        opened(url, timeout=5).check()
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_store_without_declared_columns_is_refused():
    with pytest.raises(ValueError, match="give the step columns"):
        RedisStore(parse_spec("redis://h/0?pattern={key}"))


def test_no_answer_is_a_failed_look_up():
    with pytest.raises(LookupFailed, match="Connection refused"):
        opened("redis://127.0.0.1:1/0?pattern=u:{key}").fetch(pl.Series(["1"]))
