"""Deadline, retries and breaker before a real Redis that hangs, trickles, refuses, talks rubbish, dies, comes back."""

import sqlite3
import threading
import time
from dataclasses import replace

import polars as pl
import pytest

from ecompulse.io.lookups import LookupFailed, open_lookup, parse_spec
from ecompulse.io.lookups.guard import GuardedStore, Policy, Trouble
from ecompulse.io.lookups.redis import RedisStore
from ecompulse.kernels.enrich.lookup import TYPES, BreakerConfig
from support.faults import Fault

pytestmark = pytest.mark.slow  # deadlines pass

DEADLINE = 500  # ms
GENEROUS = 20.0  # seconds; a request that nothing bounds takes for ever
KEY = pl.Series(["1"])
FAULTS = [fault for fault in Fault if fault is not Fault.NONE]


@pytest.fixture
def guarded(rows, between):
    rows.hashes({"1": {"tier": "gold"}})
    spec = replace(parse_spec(rows.url(between.port)), declared={"tier": TYPES["text"]}, timeout=2 * DEADLINE / 1000)
    return GuardedStore(RedisStore(spec), Policy("steps.user", DEADLINE, 1, BreakerConfig(2, 300)))


def failed(store: GuardedStore) -> str:
    began = time.monotonic()
    with pytest.raises(LookupFailed) as caught:
        store.fetch(KEY)
    assert time.monotonic() - began < GENEROUS
    assert "secret" not in str(caught.value)
    return str(caught.value)


def eventually(answers, seconds: float = GENEROUS):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return answers()
        except LookupFailed:
            assert time.monotonic() < deadline, "the store never came back"
            time.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_within_the_deadline_opens_the_breaker_and_is_recovered_from(guarded, between, fault):
    assert guarded.fetch(KEY)["tier"].to_list() == ["gold"]
    between.fault = fault
    slow = fault in (Fault.HANG, Fault.TRICKLE)
    for state in ("closed", "open"):
        said = failed(guarded)
        assert said.startswith("steps.user: ")
        assert ("no answer within 500 ms" in said) == slow
        assert guarded.state == state
    seen = guarded.trouble()
    assert (seen.failures, seen.timeouts, seen.opened) == (2, 2 if slow else 0, 1)
    assert seen.retries == (0 if slow else 2)
    asked = between.asked
    assert "left alone after 2 failures" in failed(guarded)
    assert (between.asked, guarded.trouble().refused) == (asked, 1)
    between.fault = Fault.NONE
    assert eventually(lambda: guarded.fetch(KEY))["tier"].to_list() == ["gold"]
    assert guarded.state == "closed"


def test_one_probe_at_a_time_tries_whether_the_store_is_back(guarded, between):
    between.fault = Fault.HANG
    for _ in range(2):
        failed(guarded)
    time.sleep(0.35)  # the breaker's reset
    asked = between.asked
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(failed(guarded))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("left alone" in said for said in results) == 4
    assert between.asked == asked + 1
    assert guarded.state == "open"


def test_threads_that_ask_a_hanging_store_do_not_wait_for_each_other(guarded, between):
    between.fault = Fault.HANG
    began = time.monotonic()
    threads = [threading.Thread(target=failed, args=(guarded,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 6 * DEADLINE / 1000


@pytest.mark.parametrize(("scheme", "fault"), [("redis", Fault.HANG), ("redis", Fault.TRICKLE), ("rediss", Fault.HANG)])
def test_abandoned_requests_leave_no_threads(between, scheme, fault):
    spec = parse_spec(f"{scheme}://127.0.0.1:{between.port}/0?pattern={{key}}")
    spec = replace(spec, declared={"tier": TYPES["text"]}, timeout=600)  # the socket itself waits longer than this test
    guarded = GuardedStore(RedisStore(spec), Policy("steps.user", DEADLINE, 1, BreakerConfig(100, 300)))
    between.fault = fault
    threads = [threading.Thread(target=failed, args=(guarded,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed(guarded)
    deadline = time.monotonic() + GENEROUS
    while any(thread.name == "look-up steps.user" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a request still hangs"
        time.sleep(0.05)


class Fails:
    """A store in this process."""

    columns = pl.Schema({"tier": pl.String})
    times = 0

    def fetch(self, keys):
        if self.times:
            self.times -= 1
            raise OSError("the file\nis locked")
        return pl.DataFrame({"key": keys, "tier": "gold"})


def test_a_store_in_this_process_is_retried_too():
    store = Fails()
    guarded = GuardedStore(store, Policy("steps.user", 5000, 2, BreakerConfig(1, 60_000)))
    store.times = 2
    assert guarded.fetch(KEY)["tier"].to_list() == ["gold"]
    assert guarded.trouble() == Trouble(retries=2)
    store.times = 3
    assert failed(guarded) == "steps.user: the file is locked"
    assert guarded.trouble() == Trouble(retries=4, failures=1, opened=1)


def test_a_late_answer_does_not_close_an_open_breaker(rows, between, guarded):
    between.fault = Fault.HANG
    late = threading.Thread(target=failed, args=(guarded,))
    late.start()
    for _ in range(2):
        failed(guarded)
    late.join()
    assert guarded.state == "open"


def test_a_name_that_does_not_resolve_ends_at_the_deadline(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kwargs: gate.wait(60) and [])
    spec = replace(parse_spec("redis://redis.invalid/0?pattern={key}"), declared={"tier": TYPES["text"]})
    store = GuardedStore(RedisStore(spec), Policy("steps.user", DEADLINE, 1, BreakerConfig(100, 300)))
    for _ in range(8):
        assert "no answer within 500 ms" in failed(store)
    assert "8 earlier requests still hang" in failed(store)  # they cannot be ended; they are not added to for ever
    gate.set()
    assert "hang" not in eventually_other(store)


def eventually_other(store: GuardedStore) -> str:
    deadline = time.monotonic() + GENEROUS
    while "still hang" in (said := failed(store)):
        assert time.monotonic() < deadline, "they hang for ever"
        time.sleep(0.05)
    return said


def test_a_query_of_sqlite_that_takes_too_long_is_interrupted(tmp_path):
    path = tmp_path / "users.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, tier TEXT)")
        made.execute(
            "CREATE VIEW users AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
            "(SELECT CASE WHEN count(*) THEN 1000000000 ELSE 1 END FROM numbers)) "
            "SELECT CAST(i AS TEXT) AS id, 'gold' AS tier FROM n"
        )
    store = open_lookup(replace(parse_spec(f"sqlite:{path}?table=users&key=id"), timeout=DEADLINE / 1000))
    guarded = GuardedStore(store, Policy("steps.user", DEADLINE, 0))
    assert guarded.fetch(KEY)["tier"].to_list() == ["gold"]
    with sqlite3.connect(path) as made:
        made.execute("INSERT INTO numbers VALUES (1, 'x')")
    assert "interrupted" in failed(guarded)
    with sqlite3.connect(path) as made:
        made.execute("DELETE FROM numbers")
    assert guarded.fetch(KEY)["tier"].to_list() == ["gold"]
