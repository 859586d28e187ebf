"""What the driver opens at the start: shared within a process, and one clear line when it cannot be opened."""

import pickle

import polars as pl
import pytest

from ecompulse.io.lookups import counters, open_resources
from ecompulse.io.lookups.resources import forget
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.enrichment import EnrichConfig, enrich, enriched_schema, parse_enrich
from ecompulse.kernels.event import FRAME_SCHEMA


@pytest.fixture(autouse=True)
def fresh():
    forget()
    yield
    forget()


@pytest.fixture
def config(tmp_path):
    pl.DataFrame({"id": ["u1"], "tier": ["gold"]}).write_parquet(tmp_path / "users.parquet")
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2024-01-01,EUR,1.10\n")
    lookup = f"{{lookup: 'parquet:{tmp_path}/users.parquet?key=id'}}"
    return parse_enrich(f"steps: {{user: {lookup}, currency: {{rates: {tmp_path}/rates.csv}}}}")


def test_a_process_opens_everything_once(config):
    first, second = open_resources(config), open_resources(pickle.loads(pickle.dumps(config)))  # noqa: S301
    assert first["user"]["lookup"] is second["user"]["lookup"]
    assert first["device"]["user_agent"] is second["device"]["user_agent"]
    assert first["currency"]["rates"] is second["currency"]["rates"]
    events = pl.DataFrame({"user_id": ["u1", "u1", "u9"]}, schema={"user_id": pl.String})
    events = events.select(pl.lit(None, t).alias(n) if n != "user_id" else n for n, t in FRAME_SCHEMA.items())
    found = enrich(events, config, first)
    assert found.schema == enriched_schema(config, FRAME_SCHEMA, first)
    assert found["user_tier"].to_list() == ["gold", "gold", None]
    seen = next(c for name, c in counters().items() if name == "user.lookup")
    assert (seen.asked, seen.misses, seen.found, seen.fetches) == (2, 2, 1, 1)


def test_the_defaults_need_nothing():
    resources = open_resources(EnrichConfig())
    assert {step: list(opened) for step, opened in resources.items() if opened} == {"device": ["user_agent"]}


def test_a_guard_goes_between_store_and_cache(config):
    seen = []

    def guard(store, policy):
        seen.append(policy.name)
        return store

    open_resources(config, guard)
    assert seen == ["steps.user"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: {user: {lookup: 'parquet:/no/users.parquet?key=id'}}", r"^steps\.user\.lookup: .*no such file"),
        ("steps: {geo: {database: /no/geo.mmdb}}", r"^steps\.geo\.database: /no/geo\.mmdb: no such file"),
        ("steps: {currency: {rates: /no/rates.csv}}", r"^steps\.currency\.rates: /no/rates\.csv is no file"),
        ("steps: {pii: {ip: hash, key: 'env:NOT_SET_HERE'}}", r"^steps\.pii\.key: environment variable NOT_SET_HERE"),
        ("steps: {pii: {ip: hash, key: 'file:/no/key'}}", r"^steps\.pii\.key: /no/key cannot be read"),
    ],
)
def test_what_cannot_be_opened_is_one_line_with_its_path(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        open_resources(parse_enrich(text))
    assert "\n" not in str(caught.value)


def test_keys_come_from_environment_or_file_and_are_never_shown(tmp_path, monkeypatch):
    secret = "correct horse battery"  # noqa: S105  # an example
    (tmp_path / "key").write_text(secret + "\n")
    monkeypatch.setenv("PII", secret)
    monkeypatch.setenv("SHORT", "hunter2")
    for source in ("env:PII", f"file:{tmp_path}/key"):
        resources = open_resources(parse_enrich(f"steps: {{pii: {{ip: hash, key: '{source}'}}}}"))
        assert resources["pii"]["key"] == secret
    with pytest.raises(ConfigError, match="fewer than 16 characters") as caught:
        open_resources(parse_enrich("steps: {pii: {ip: hash, key: 'env:SHORT'}}"))
    assert "hunter2" not in str(caught.value)
