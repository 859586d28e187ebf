"""Whole jobs over look-ups in Redis that fails, comes back, or changes its mind between crash and restart."""

import json
import signal
from pathlib import Path

import polars as pl
import pytest

from ecompulse.epochs.steps import Step, observe
from services import redis as services_redis
from services import s3
from support.faults import Between, Fault
from support.process import Shop, command, events, finished, next_progress, write_lines
from support.redis_rows import Rows

pytestmark = pytest.mark.slow

DEADLINE = 500  # ms
GENEROUS = 30_000  # ms that an epoch may take on a busy machine
USERS = [f"u{number}" for number in range(37)]
STEPS = """steps:
  user:
    lookup: '{url}'
    columns: {{tier: text}}
    on_error: {on_error}
    deadline: {deadline}ms
    retries: 1
    breaker: {{failures: 1, reset: {reset}}}
    cache: {{ttl: 1ms, negative_ttl: 1ms}}
"""


@pytest.fixture
def shop(tmp_path, rows, fresh):
    rows.hashes({user: {"tier": "gold"} for user in USERS})
    made = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--watermark_delay=30s"))
    write_lines(made.source / "1.jsonl", events(200))
    return made


def steps(shop: Shop, url: str, on_error: str, reset: str = "1h", deadline: int = DEADLINE) -> str:
    path = shop.root.parent / "steps.yaml"
    path.write_text(STEPS.format(url=url, on_error=on_error, reset=reset, deadline=deadline))
    return f"--enrich={path}"


def run(shop: Shop, *flags: str) -> list[dict]:
    """Epochs of 80, 80 and 40 rows in this process: their progress."""
    arguments = shop.arguments("--max_records_per_epoch=80", "--progress=json", "--drain", *flags)
    status, out, said = command("pipelines.event_enrichment", *arguments)
    assert (status, said) == (0, "")
    return [shown for line in out.splitlines() if (shown := json.loads(line))["numInputRows"]]


@pytest.fixture
def commits():
    """Calls what it is given, in turn, as epochs are committed."""
    actions: list = []

    def see(step):
        if step is Step.COMMITTED and actions:
            actions.pop(0)()

    forget = observe(see)
    yield actions
    forget()


def set_to(between: Between, fault: Fault):
    return lambda: setattr(between, "fault", fault)


def tiers(shop: Shop) -> pl.DataFrame:
    """Rows by tier and status, in the lake and in the lines, which are the same."""
    lake, lines = shop.tables()["lake enriched_events"], shop.tables()["lines enriched_events"]
    found = [frame.group_by("user_tier", "user_status").len().sort(pl.all()) for frame in (lake, lines)]
    assert found[0].equals(found[1])
    return {tuple(row[:2]): row[2] for row in found[0].rows()}


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_degrade_loses_nothing_and_ends_in_time(shop, rows, between, commits, fault):
    commits.append(set_to(between, fault))
    first, second, third = run(shop, steps(shop, rows.url(between.port), "degrade"))
    assert tiers(shop) == {("gold", "ok"): 77, (None, "failed"): 115}
    assert first["lookups"]["user"]["breaker"] == "closed"
    assert first["lookups"]["user"]["found"] == 37
    assert first["lookups"]["user"]["failures"] == 0
    assert second["durationMs"]["run"] < GENEROUS
    seen = second["lookups"]["user"]
    assert (seen["breaker"], seen["opened"], seen["failures"], seen["failed"]) == ("open", 1, 1, 37)
    assert seen["timeouts"] == (fault in (Fault.HANG, Fault.TRICKLE))
    assert seen["retries"] == (0 if seen["timeouts"] else 1)
    assert third["lookups"]["user"]["breaker"] == "open"
    assert third["lookups"]["user"]["refused"] == 1
    assert third["lookups"]["user"]["opened"] == 0


def test_a_store_that_is_back_is_used_again(shop, rows, between, commits):
    commits += [set_to(between, Fault.REFUSE), set_to(between, Fault.NONE)]
    _, second, third = run(shop, steps(shop, rows.url(between.port), "degrade", reset="1ms"))
    assert tiers(shop) == {("gold", "ok"): 77 + 38, (None, "failed"): 77}
    assert (second["lookups"]["user"]["breaker"], third["lookups"]["user"]["breaker"]) == ("open", "closed")


def test_stale_takes_the_expired_entry(shop, rows, between, commits):
    commits.append(set_to(between, Fault.HANG))
    _, second, _ = run(shop, steps(shop, rows.url(between.port), "stale"))
    assert tiers(shop) == {("gold", "ok"): 77, ("gold", "stale"): 115}
    assert (second["lookups"]["user"]["stale"], second["lookups"]["user"]["failed"]) == (37, 0)


def test_fail_stops_the_job_which_goes_on_when_the_store_is_back(shop, rows, between):
    enrich = steps(shop, rows.url(between.port), "fail")
    process = shop.start("--trigger=200ms", "--progress=json", enrich)
    assert next_progress(process)["lookups"]["user"]["breaker"] == "closed"
    between.fault = Fault.HANG
    write_lines(shop.source / "2.jsonl", events(100, start=200))
    status, said = finished(process)
    assert status == 1
    assert len(said) >= 1
    assert "look-up failed: steps.user: " in said[-1]
    assert said[-1].endswith("(run it again to go on)")
    status, again = shop.run("--progress=none", "--publish_attempts=2", enrich)
    assert status == 1
    assert again.count("no answer within 500 ms (trying again)") == 1
    assert "--enrich: steps.user.lookup: steps.user: no answer within 500 ms" in again
    between.fault = Fault.NONE
    assert shop.run("--progress=none", "--drain", enrich) == (0, "")
    assert tiers(shop) == {("gold", "ok"): 288}
    shop.stop_all()


@pytest.mark.parametrize("step", [Step.SEALED, Step.LAKE_COMMITTED])
def test_a_value_that_changes_between_crash_and_restart_changes_nothing_that_was_sealed(shop, rows, step):
    enrich = steps(shop, rows.url(), "fail", deadline=60_000)
    status, _ = shop.run("--progress=none", enrich, crash_at=step)
    assert status == -signal.SIGKILL
    sealed = {path: path.read_bytes() for path in lake_files(shop)}
    assert sealed
    rows.hashes({user: {"tier": "lead"} for user in USERS})
    write_lines(shop.source / "2.jsonl", events(100, start=200))
    assert shop.run("--progress=none", "--drain", enrich) == (0, "")
    assert {path: path.read_bytes() for path in sealed} == sealed
    assert tiers(shop) == {("gold", "ok"): 192, ("lead", "ok"): 96}
    tables = shop.tables()
    assert tables["warehouse data_quality"].height == tables["lake data_quality"].height > 0


def lake_files(shop: Shop) -> list[Path]:
    return sorted((shop.root / "lake" / "enriched_events").rglob("*.parquet"))


def test_a_job_looks_up_in_dynamodb_at_an_endpoint(tmp_path, moto, monkeypatch, fresh):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    shop = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--progress=none", "--drain"))
    write_lines(shop.source / "1.jsonl", events(200))
    users = tmp_path / "users.jsonl"
    users.write_text("".join(f'{{"user_id": "{user}", "tier": "gold"}}\n' for user in USERS[:30]))
    endpoint = f"--dynamodb_endpoint={moto.facts['url']}"
    load = ("load", f"--from={users}", "--to=dynamodb://shop-users", "--key=user_id", "--create", endpoint)
    status, _, said = command("pipelines.lookups", *load)
    assert (status, said) == (0, "")
    enrich = steps(shop, "dynamodb://shop-users?key=user_id", "fail", deadline=60_000)
    assert shop.run_here(enrich, endpoint) == (0, "")
    found = tiers(shop)
    assert found.keys() == {("gold", "ok"), (None, "not_found")}
    assert sum(found.values()) == 192


def test_a_redis_that_is_killed_and_comes_back(tmp_path, commits, fresh):
    server = services_redis.start(tmp_path / "redis")
    own = Rows(server, "own")
    own.hashes({user: {"tier": "gold"} for user in USERS})
    shop = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--watermark_delay=30s"))
    write_lines(shop.source / "1.jsonl", events(200))
    commits += [server.kill, server.start]
    try:
        first, second, third = run(shop, steps(shop, own.url(), "degrade", reset="1ms", deadline=5000))
    finally:
        server.stop()
    assert tiers(shop) == {("gold", "ok"): 77 + 38, (None, "failed"): 77}
    assert [epoch["lookups"]["user"]["breaker"] for epoch in (first, second, third)] == ["closed", "open", "closed"]
