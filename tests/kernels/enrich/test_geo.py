"""The geo step over a look-up in memory: who is asked, and every status."""

import polars as pl
import pytest

from ecompulse.kernels.enrich.geo import COLUMNS, NETWORK, PLACE, GeoStep

ROWS = [
    ("8.8.8.8", "US", "ok"), ("::ffff:8.8.8.8", "US", "ok"), ("9.9.9.9", None, "not_found"),
    ("10.0.0.1", None, "private"),
    ("fd00::1", None, "private"), ("127.0.0.1", None, "reserved"), ("::1", None, "reserved"),
    ("ff02::1", None, "reserved"), ("8.8.8", None, "malformed"), ("", None, "malformed"), (None, None, "no_key"),
    ("2A00:1450::1", "IE", "ok"), ("8.8.8.8", "US", "ok"),
]  # fmt: skip


@pytest.fixture
def places(dict_finder):
    nothing = (None,) * (len(PLACE) - 1)
    return dict_finder(PLACE, {"8.8.8.8": ("US", *nothing), "2a00:1450::1": ("IE", *nothing)})


def test_only_public_addresses_are_asked_each_once(events, places):
    batch = events([{"ip": ip} for ip, _, _ in ROWS])
    found = GeoStep().apply(batch, {"database": places})
    assert found.select("ip", "geo_country", "geo_status").rows() == ROWS
    assert places.asked == [["2a00:1450::1", "8.8.8.8", "9.9.9.9"]]


def test_without_a_database_only_public_addresses_miss_it(events):
    found = GeoStep().apply(events([{"ip": ip} for ip in ("8.8.8.8", "10.0.0.1", "x", None)]), {})
    assert found["geo_status"].to_list() == ["no_database", "private", "malformed", "no_key"]


def test_networks_alone(events, dict_finder):
    networks = dict_finder(NETWORK, {"8.8.8.8": (15169, "Google")})
    found = GeoStep().apply(events([{"ip": ip} for ip in ("8.8.8.8", "9.9.9.9")]), {"asn_database": networks})
    assert found.select("geo_country", "geo_asn", "geo_network_owner", "geo_status").rows() == [
        (None, 15169, "Google", "ok"), (None, None, None, "not_found"),
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [[], [{"ip": None}], [{"ip": "8.8.8.8"}]])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_schema_is_always_the_same(events, places, rows, enabled):
    found = GeoStep(enabled=enabled).apply(events(rows), {"database": places})
    assert found.schema == pl.Schema({**events([]).schema, **COLUMNS, "geo_status": pl.String()})
