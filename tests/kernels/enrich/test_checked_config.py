"""Checked YAML, and the configuration of enrichment."""

import pickle
from pathlib import Path

import pytest

from ecompulse.kernels.config import ConfigError, load_config, parse_yaml
from ecompulse.kernels.durations import parse_duration
from ecompulse.kernels.enrich.enrichment import EnrichConfig, parse_enrich
from ecompulse.kernels.enrich.pii import PiiStep
from ecompulse.kernels.enrich.step import CacheConfig

SHIPPED = Path(__file__).parents[3] / "kernels" / "enrich" / "default.yaml"


def test_shipped_yaml_is_the_defaults():
    assert parse_enrich(SHIPPED.read_text()) == EnrichConfig()
    assert parse_enrich("") == EnrichConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: {geo: {databse: x}}", "steps.geo.databse: unknown key, did you mean database?"),
        ("stepz: {}", "stepz: unknown key, did you mean steps?"),
        ("steps: {user: {on_error: stall}}", "steps.user.on_error: 'stall' is not one of degrade, stale, fail"),
        ("steps: {user: {cache: {ttl: 5}}}", "steps.user.cache.ttl: 5 is no duration"),
        ("steps: {user: {cache: {max_rows: 0}}}", "steps.user.cache.max_rows: must be at least 1"),
        ("steps: {geo: {enabled: 'no'}}", "steps.geo.enabled: expected true or false, found text ('no')"),
        ("steps: {campaign: {own_domains: shop.de}}", "steps.campaign.own_domains: expected a list, found text"),
        ("steps: {campaign: {own_domains: [a, 3]}}", "steps.campaign.own_domains[1]: expected text"),
        ("steps: {currency: {base: eur}}", "steps.currency.base: 'eur' is not an ISO 4217 code"),
        ("steps: {pii: {ip: hash}}", "steps.pii.key: required"),
        ("steps: {pii: {key: hunter2hunter2hunter2}}", "steps.pii.key: must be env:NAME or file:PATH"),
        ("steps: {pii: {fields: {order_id: mask}}}", "steps.pii.fields.order_id: mask would make different ids one"),
        ("steps: [user]", "steps: expected a mapping, found a list"),
        ("a: 1\na: 2", "line 2, column 1: key 'a' is given twice"),
        (
            "a: {{{ b }}: c}",
            "line 1, column 5: a mapping or a list is no key; a text that begins with { or [ needs quotes",
        ),
        ("a: [", "line 1, column"),
    ],
)
def test_a_wrong_key_is_one_line_with_its_path(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_enrich(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_configuration_and_its_error_pickle():
    config = parse_enrich("steps: {pii: {emails: mask, fields: {properties.phone: drop}, key: 'env:K'}}")
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301  # our own bytes
    error = pickle.loads(pickle.dumps(ConfigError("a.b", "wrong")))  # noqa: S301
    assert (error.path, error.message, str(error)) == ("a.b", "wrong", "a.b: wrong")


def test_durations_are_milliseconds():
    assert [parse_duration(d) for d in ("250ms", "90s", "10m", "2h", "1d", 0)] == [
        250, 90_000, 600_000, 7_200_000, 86_400_000, 0,
    ]  # fmt: skip


def test_path_prefix_and_missing_keys():
    with pytest.raises(ConfigError, match=r"^file\.max_rows: expected a whole number, found true or false"):
        load_config(CacheConfig, parse_yaml("max_rows: yes"), "file")
    assert not PiiStep().active
