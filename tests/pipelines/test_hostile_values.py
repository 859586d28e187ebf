"""Values that would be commands, statements or paths elsewhere come out as they went in, and touch nothing."""

import json
import sqlite3

import polars as pl
import pytest
import redis as client

from ecompulse.io.lookups.resources import forget
from support.process import Shop, command, write_lines

HOSTILE = (
    "../../../escaped",
    "/etc/passwd",
    "..%2f..%2fescaped",
    "a/b\\c",
    "x'; DROP TABLE users; --",
    'x"; DROP TABLE users; --',
    "') OR 1=1 --",
    "{key}",
    "*",
    "u\r\nFLUSHALL\r\n",
    "$(touch escaped)",
    "`touch escaped`",
    "{{7*7}}",
    "env:HOME",
    "con\u0000trol",
    "\u202egnp.exe",
)
FIELDS = ("user_id", "product_id", "session_id", "order_id", "category", "url", "user_agent", "query", "event_type")


@pytest.fixture
def fresh():
    forget()
    yield
    forget()


@pytest.fixture
def shop(tmp_path):
    made = Shop(tmp_path / "inside" / "shop", tmp_path / "inside" / "input", ("--num_shards=2", "--progress=none"))
    rows = [
        json.dumps(
            {"event_id": value, "event_time": "2026-03-01T10:00:00Z", "ip": value, **dict.fromkeys(FIELDS, value)}
        )
        for value in HOSTILE
    ]
    bad = [json.dumps({"event_id": value, "event_type": value, "event_time": value}) for value in HOSTILE]
    write_lines(made.source / "1.jsonl", rows + bad)
    return made


def outside(tmp_path):
    return sorted(str(path) for path in tmp_path.iterdir())


def test_values_reach_no_path_no_statement_and_no_command(shop, tmp_path, redis, fresh):
    database = tmp_path / "inside" / "users.db"
    with sqlite3.connect(database) as made:
        made.execute("CREATE TABLE users (id TEXT PRIMARY KEY, tier TEXT)")
        made.executemany("INSERT INTO users VALUES (?, 'gold')", [(value,) for value in HOSTILE])
    made.close()
    with client.Redis(port=redis.port) as server:
        server.set("sentinel", "here")
        for value in HOSTILE:
            server.hset(f"product:{value}", mapping={"title": value})
        before = set(server.keys())
    enrich = tmp_path / "inside" / "enrich.yaml"
    enrich.write_text(
        f"steps: {{user: {{lookup: 'sqlite:{database}?table=users&key=id', on_error: fail}}, "
        f"product: {{lookup: 'redis://127.0.0.1:{redis.port}/0?pattern=product:{{key}}', on_error: fail, "
        "columns: {title: text}, deadline: 1m}}"
    )
    there = outside(tmp_path)
    assert shop.run_here("--drain", f"--enrich={enrich}", "--dedup", "--match_payments") == (0, "")
    found = shop.tables()["lake enriched_events"]
    for field in (*FIELDS, "event_id", "product_title"):
        assert sorted(found[field]) == sorted(HOSTILE), field
    # SQLite's JSON ends a text at a NUL, so that such a key is not found.
    assert found.filter(pl.col("user_tier") != "gold").is_empty()
    assert found.filter(pl.col("user_tier").is_null())["user_id"].to_list() == ["con\0trol"]
    assert shop.tables()["lake dead_letters"].height == len(HOSTILE)
    status, out, _ = command("pipelines.deadletters", "show", f"--lake={shop.root / 'lake'}", "--limit=100")
    assert status == 0
    assert "DROP TABLE" in out
    replay = ("replay", f"--lake={shop.root / 'lake'}", f"--checkpoint={shop.root / 'checkpoint'}")
    assert command("pipelines.deadletters", *replay)[0] == 0
    assert shop.run_here(f"--enrich={enrich}", "--drain", "--dedup", "--match_payments") == (0, "")
    assert outside(tmp_path) == there
    assert {path.name for path in (tmp_path / "inside").iterdir()} == {"shop", "input", "users.db", "enrich.yaml"}
    assert folders(shop) <= {"event_date=2026-03-01", *(path.name for path in (shop.root / "lake").glob("*/*"))}
    with client.Redis(port=redis.port) as server:
        after = set(server.keys())
    # Keys of other tests may expire meanwhile.
    assert {b"sentinel", *(f"product:{value}".encode() for value in HOSTILE)} <= after <= before
    with sqlite3.connect(database) as read:
        assert read.execute("SELECT count(*) FROM users").fetchone() == (len(HOSTILE),)
    read.close()


def folders(shop: Shop) -> set[str]:
    return {path.name for path in (shop.root / "lake" / "enriched_events").iterdir() if path.is_dir()} - {"_delta_log"}


@pytest.mark.parametrize("source", ["/etc/passwd.csv", "../secrets.csv"])
def test_the_place_that_a_letter_claims_to_come_from_is_not_opened(shop, tmp_path, source, monkeypatch):
    from ecompulse.io import dead_letters  # noqa: PLC0415

    opened = []
    monkeypatch.setattr(dead_letters, "head_of", lambda path, **_: opened.append(path))
    row = {
        "raw": b"a,b",
        "source": source,
        "source_partition": 0,
        "source_offset": 0,
        "job": "j",
        "instance": None,
        "protected": False,
        "rule": "wrong_type",
    }
    frame = pl.DataFrame([row]).with_columns(seen_at=pl.lit(0).cast(pl.Datetime("us", "UTC")))
    chosen = dead_letters.choose(frame, {"job": "j", "sources": ["/in"]}, {"/in/1.csv": {}})
    assert chosen.letters["header"].to_list() == [None]
    assert opened == []
