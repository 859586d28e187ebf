"""All steps together: order, schema known up front, independence of the batch's cut and order."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich import currency
from ecompulse.kernels.enrich.device import AGENT, parse_agents
from ecompulse.kernels.enrich.enrichment import STEPS, EnrichConfig, enrich, enriched_schema, parse_enrich
from ecompulse.kernels.enrich.geo import PLACE
from ecompulse.kernels.enrich.step import Step
from ecompulse.kernels.event import FRAME_SCHEMA
from support.examples import examples

KEY = "a key of sixteen or more"
USERS = pl.Schema({"email": pl.String(), "tier": pl.String()})
CONFIG = parse_enrich("""
steps:
  campaign: {own_domains: [shop.example]}
  pii: {ip: mask, emails: mask, fields: {user_email: drop, properties.phone: hash}, key: env:K}
""")
AGENTS = ["curl/8.5.0", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36"]


class Agents:
    columns = AGENT

    def find(self, keys: pl.Series) -> pl.DataFrame:
        return parse_agents(keys).with_columns(status=pl.lit("ok"))


@pytest.fixture(scope="module")
def resources(dict_finder):
    rates = pl.DataFrame({"date": ["2023-01-01"], "currency": ["EUR"], "rate": ["1.1"]})
    return {
        "user": {"lookup": dict_finder(USERS, {"u1": ("ann@example.com", "gold")})},
        "geo": {"database": dict_finder(PLACE, {"8.8.8.8": ("US", *(None,) * 7)})},
        "device": {"user_agent": Agents()},
        "currency": {"rates": currency.check_rates(rates, "USD")},
        "pii": {"key": KEY},
    }


ROW = st.fixed_dictionaries(
    {
        "event_id": st.uuids().map(str),
        "event_time": st.just(dt.datetime(2023, 11, 1, tzinfo=dt.UTC)),
        "user_id": st.sampled_from([None, "u1", "u2"]),
        "ip": st.sampled_from([None, "8.8.8.8", "10.0.0.1", "?"]),
        "user_agent": st.sampled_from([None, *AGENTS]),
        "url": st.sampled_from([None, "https://shop.example/?utm_source=x&utm_medium=email&mail=a@b.com"]),
        "currency": st.sampled_from([None, "EUR", "USD"]),
        "price": st.sampled_from([None, Decimal("10.0000")]),
        "properties": st.sampled_from([None, '{"phone":"0123","note":"write to a@b.com"}']),
    }
)


@examples(25)
@given(st.lists(ROW, max_size=6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_their_batch(events, resources, rows, cut, random):
    batch = events(rows)
    whole = enrich(batch, CONFIG, resources)
    assert whole.schema == enriched_schema(CONFIG, FRAME_SCHEMA, resources)
    parts = pl.concat([enrich(part, CONFIG, resources) for part in (batch[:cut], batch[cut:])])
    assert parts.equals(whole)
    order = list(range(len(rows)))
    random.shuffle(order)
    assert enrich(batch[order], CONFIG, resources).equals(whole[order])


def test_one_row_through_every_step(events, resources):
    row = {
        "event_id": "e1", "event_time": dt.datetime(2023, 11, 1, tzinfo=dt.UTC), "user_id": "u1", "ip": "8.8.8.8",
        "user_agent": AGENTS[1], "url": "https://shop.example/?utm_medium=email&utm_campaign=to+a@b.com",
        "currency": "EUR", "price": Decimal(10), "properties": '{"phone":"0123"}',
    }  # fmt: skip
    found = enrich(events([row]), CONFIG, resources).row(0, named=True)
    assert {step.name: found[f"{step.name}_status"] for step in STEPS} == {
        "user": "ok", "product": "off", "geo": "ok", "device": "ok", "campaign": "ok", "currency": "ok", "pii": "ok",
    }  # fmt: skip
    assert (found["user_email"], found["user_tier"]) == (None, "gold")  # what a look-up gives is under the policy too
    assert (found["geo_country"], found["ip"]) == ("US", "8.8.8.0")  # looked up before it was masked
    assert (found["device_class"], found["device_browser"], found["device_os"]) == ("desktop", "Chrome", "Windows")
    assert (found["campaign_channel"], found["campaign_name"]) == ("email", "to ***")
    assert found["price_base"] == Decimal("11.0000")
    assert "a@b.com" not in str(found)
    assert "0123" not in found["properties"]


def test_everything_off_keeps_schema_and_says_so(events):
    text = "steps: {" + ", ".join(f"{step.name}: {{enabled: false}}" for step in STEPS) + "}"
    config = parse_enrich(text)
    found = enrich(events([{"ip": "8.8.8.8", "price": Decimal(1)}]), config, {})
    assert {found[f"{step.name}_status"][0] for step in STEPS} == {"off"}
    assert (
        found.schema == enriched_schema(config, FRAME_SCHEMA, {}) == enriched_schema(EnrichConfig(), FRAME_SCHEMA, {})
    )


def test_a_policy_for_a_column_of_no_look_up_is_refused():
    with pytest.raises(ConfigError, match=r"steps\.pii\.fields\.user_email: no such column"):
        enriched_schema(CONFIG, FRAME_SCHEMA, {})


@dataclass(frozen=True)
class Spender(Step):
    """A step of somebody else: it reads whatever it likes."""

    name: ClassVar[str] = "spender"

    def columns(self, opened):
        return pl.Schema({"spender_kind": pl.String()})

    def apply(self, events, opened):
        return events.with_columns(spender_kind=pl.col("user_tier"), spender_status=pl.lit("ok"))


def names(config: EnrichConfig) -> list[str]:
    return [step.name for step in config.steps]


def test_steps_that_make_nothing_wanted_are_left_out(resources):
    assert names(CONFIG.making({"event_id", "device_id", "product_id"}, resources)) == ["pii"]
    assert names(CONFIG.making({"device_class", "amount_base"}, resources)) == ["device", "currency", "pii"]
    assert names(CONFIG.making({"user_status"}, resources)) == ["user", "pii"], "its status is something it makes"
    assert names(CONFIG.making({"user_tier"}, resources)) == ["user", "pii"]


def test_a_step_that_says_not_what_it_reads_keeps_those_before_it(resources):
    own = EnrichConfig((*CONFIG.steps[:-1], Spender(), CONFIG.steps[-1]))
    assert names(own.making({"spender_kind"}, resources)) == names(own)
    assert names(own.making({"geo_country"}, resources)) == ["geo", "pii"]


@examples(25)
@given(st.lists(ROW, min_size=1, max_size=6), st.sets(st.sampled_from(["user_tier", "geo_country", "price_base"])))
def test_what_is_made_of_some_columns_is_what_all_steps_make(events, resources, rows, wanted):
    wanted |= set(FRAME_SCHEMA)
    batch, columns = events(rows), [name for name in enriched_schema(CONFIG, FRAME_SCHEMA, resources) if name in wanted]
    some = enrich(batch, CONFIG.making(wanted, resources), resources)
    assert some.select(columns).equals(enrich(batch, CONFIG, resources).select(columns))
