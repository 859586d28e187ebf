"""The cache: lifetimes, eviction, single flight, and what happens when the store fails."""

import threading
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ecompulse.io.lookups import CachedLookup, LookupFailed
from ecompulse.kernels.enrich.step import CacheConfig
from support.examples import examples

COLUMNS = pl.Schema({"value": pl.Int64()})


class FakeStore:
    """A dictionary that counts requests and can be told to fail, or to wait."""

    columns = COLUMNS

    def __init__(self, rows: dict[str, int]) -> None:
        self.rows = rows
        self.requests: list[list[str]] = []
        self.failing = False
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def fetch(self, keys: pl.Series) -> pl.DataFrame:
        self.requests.append(sorted(keys))
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.failing:
            raise OSError("store is down")
        found = [(key, self.rows[key]) for key in keys if key in self.rows]
        return pl.DataFrame(found, schema={"key": pl.String(), **COLUMNS}, orient="row")


class FakeClock:
    now = 0

    def __call__(self) -> int:
        return self.now


def ask(cache: CachedLookup, *keys: str) -> dict[str, tuple[int | None, str]]:
    found = cache.find(pl.Series(keys, dtype=pl.String))
    assert found.columns == ["key", "value", "status"]
    assert found.height == len(keys)
    return {key: (value, status) for key, value, status in found.rows()}


def build(on_error="degrade", max_rows=1000, **rows: int):
    store, clock = FakeStore(rows), FakeClock()
    config = CacheConfig(ttl=100, negative_ttl=10, max_rows=max_rows)
    return store, clock, CachedLookup(store, on_error, config, clock)


def test_lifetimes():
    store, clock, cache = build(a=1)
    for now, requests in ((0, [["a", "x"]]), (9, []), (10, [["x"]]), (99, [["x"]]), (100, [["a"]])):
        clock.now = now
        store.requests.clear()
        assert ask(cache, "a", "x") == {"a": (1, "ok"), "x": (None, "not_found")}
        assert store.requests == requests
    counters = cache.counters()
    assert (counters.asked, counters.hits, counters.negative_hits, counters.misses) == (10, 3, 2, 5)
    assert (counters.fetches, counters.found) == (4, 2)


def test_a_new_value_is_seen_after_its_time():
    store, clock, cache = build(a=1)
    ask(cache, "a", "b")
    store.rows.update(a=2, b=3)
    clock.now = 50
    assert ask(cache, "a", "b") == {"a": (1, "ok"), "b": (3, "ok")}
    clock.now = 100
    assert ask(cache, "a", "b") == {"a": (2, "ok"), "b": (3, "ok")}


def test_a_failing_store_degrades():
    store, clock, cache = build(a=1, b=2)
    ask(cache, "a")
    store.failing = True
    assert ask(cache, "a", "b") == {"a": (1, "ok"), "b": (None, "failed")}
    clock.now = 100
    assert ask(cache, "a") == {"a": (None, "failed")}
    store.failing = False
    assert ask(cache, "a", "b") == {"a": (1, "ok"), "b": (2, "ok")}  # a failure is not remembered
    assert (cache.counters().failed, cache.counters().failed_fetches) == (2, 2)


def test_a_failing_store_leaves_expired_rows():
    store, clock, cache = build("stale", a=1)
    ask(cache, "a", "x")
    store.failing, clock.now = True, 1000
    assert ask(cache, "a", "x", "new") == {"a": (1, "stale"), "x": (None, "stale"), "new": (None, "failed")}
    assert (cache.counters().stale, cache.counters().failed) == (2, 1)


def test_a_failing_store_stops_the_batch():
    store, _, cache = build("fail", a=1)
    store.failing = True
    with pytest.raises(LookupFailed, match="store is down"):
        ask(cache, "a")
    store.failing = False
    assert ask(cache, "a") == {"a": (1, "ok")}


@pytest.mark.parametrize(
    "answer",
    [
        pl.DataFrame({"key": ["a"]}),
        pl.DataFrame({"key": ["a"], "value": ["text"]}),
        pl.DataFrame({"key": ["a", "a"], "value": [1, 2]}),
    ],
)
def test_a_wrong_answer_is_a_failure(answer):
    store, _, cache = build(a=1)
    store.fetch = lambda _keys: answer
    assert ask(cache, "a") == {"a": (None, "failed")}


def test_keys_that_nobody_asked_for_are_left_out():
    store, _, cache = build(a=1)
    store.fetch = lambda _keys: pl.DataFrame({"key": ["a", "b"], "value": [1, 2]})
    assert ask(cache, "a") == {"a": (1, "ok")}


def test_the_least_recently_used_go_first():
    store, _, cache = build(max_rows=40, **{f"k{n}": n for n in range(200)})
    ask(cache, *(f"k{n}" for n in range(40)))
    ask(cache, *(f"k{n}" for n in range(10)))
    ask(cache, *(f"k{n}" for n in range(100, 120)))
    store.requests.clear()
    kept = ask(cache, *(f"k{n}" for n in range(10)), *(f"k{n}" for n in range(100, 120)))
    assert kept["k3"] == (3, "ok")
    assert store.requests == []
    assert cache.counters().evicted == 20


def test_a_batch_larger_than_the_cache_is_whole():
    _, _, cache = build(max_rows=5, **{f"k{n}": n for n in range(100)})
    assert ask(cache, *(f"k{n}" for n in range(100))) == {f"k{n}": (n, "ok") for n in range(100)}
    assert len(cache._cached) == 5


def test_two_batches_that_miss_the_same_keys_make_one_request():
    store, _, cache = build(a=1, b=2, c=3)
    store.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, cache, "a", "b")
        assert store.entered.wait(10)
        store.entered.clear()
        second = pool.submit(ask, cache, "b", "c", "a")
        assert store.entered.wait(10)
        store.gate.set()
        assert first.result(10) == {"a": (1, "ok"), "b": (2, "ok")}
        assert second.result(10) == {"a": (1, "ok"), "b": (2, "ok"), "c": (3, "ok")}
    assert store.requests == [["a", "b"], ["c"]]
    assert cache.counters().waited == 2
    assert not cache._in_flight


@pytest.mark.parametrize(("policy", "expected"), [("degrade", (None, "failed")), ("stale", (1, "stale"))])
def test_who_waits_for_a_request_that_fails_follows_the_policy_too(policy, expected):
    store, clock, cache = build(policy, a=1)
    ask(cache, "a")
    clock.now, store.failing, store.gate = 100, True, threading.Event()
    store.entered.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, cache, "a")
        assert store.entered.wait(10)
        second = pool.submit(ask, cache, "a")
        while cache.counters().waited < 1:
            pass
        store.gate.set()
        assert first.result(10) == second.result(10) == {"a": expected}
    assert len(store.requests) == 2


def test_many_threads_get_right_answers():
    _, _, cache = build(max_rows=50, **{f"k{n}": n for n in range(300)})

    def work(start: int) -> bool:
        keys = [f"k{(start * 7 + n) % 330}" for n in range(60)]
        expected = {key: (int(key[1:]), "ok") if int(key[1:]) < 300 else (None, "not_found") for key in keys}
        return ask(cache, *keys) == expected

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(150)))


@examples(40, stateful_step_count=20)
class CacheAgainstModel(RuleBasedStateMachine):
    """Whatever is asked when: an answer is never older than its lifetime, and was true when it was fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.clock, self.cache = build("stale", max_rows=6)
        self.history: dict[str, list[tuple[int, int | None]]] = {}

    @rule(key=st.sampled_from("abcdefghij"), value=st.none() | st.integers(0, 9))
    def change(self, key: str, value: int | None) -> None:
        self.history.setdefault(key, [(0, None)]).append((self.clock.now, value))
        if value is None:
            self.store.rows.pop(key, None)
        else:
            self.store.rows[key] = value

    @rule(ms=st.integers(1, 60))
    def wait(self, ms: int) -> None:
        self.clock.now += ms

    @rule()
    def break_or_mend(self) -> None:
        self.store.failing = not self.store.failing

    @rule(keys=st.sets(st.sampled_from("abcdefghij"), max_size=8))
    def look_up(self, keys: set[str]) -> None:
        for key, (value, status) in ask(self.cache, *keys).items():
            if status in ("ok", "not_found"):
                lifetime = 100 if status == "ok" else 10
                assert value in self._values_since(key, self.clock.now - lifetime)
                assert (status == "ok") == (value is not None)
            elif status == "failed":
                assert self.store.failing
                assert value is None
            else:
                assert (self.store.failing, status) == (True, "stale")

    def _values_since(self, key: str, since: int) -> list[int | None]:
        changes = self.history.get(key, [(0, None)])
        current = [value for at, value in changes if at <= since][-1:]
        return current + [value for at, value in changes if at > since] + ([None] if since < 0 else [])

    @invariant()
    def bounded(self) -> None:
        assert self.cache._cached.rows.height <= 7


TestCacheAgainstModel = CacheAgainstModel.TestCase
