"""Databases of addresses: nested and flat ones, IPv4 and IPv6, damaged ones."""

import ipaddress
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import maxminddb
import polars as pl
import pytest

from ecompulse.io.lookups.geo import open_networks, open_places

GEO = Path(__file__).parents[3].parent / "shared" / "data" / "geo"
real_data = pytest.mark.skipif(not GEO.is_dir(), reason=f"no shared data at {GEO}")


class Reader:
    """A database of these records by address."""

    def __init__(self, records: dict[str, Any]) -> None:
        self._records = records
        self.get = records.get

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._records.items())

    def metadata(self) -> SimpleNamespace:
        return SimpleNamespace(ip_version=6, database_type="flat")


def test_values_of_another_type_are_read_or_malformed_and_spoil_no_other(tmp_path, monkeypatch):
    (tmp_path / "flat.mmdb").touch()
    records = {
        "1.1.1.1": {"country_code": "AU", "latitude": -33.5, "postal_code": "2000"},
        "2.2.2.2": {"country_code": "FR", "latitude": "48.85", "postal_code": 75000},
        "3.3.3.3": {"country_code": b"\xff", "latitude": "north", "asn": "AS1", "as_name": "One"},
        "4.4.4.4": {"asn": 2**64 - 1, "as_name": "Two"},
    }
    monkeypatch.setattr(maxminddb, "open_database", lambda _: Reader(records))
    asked = pl.Series([*records, "5.5.5.5"])
    places = open_places(str(tmp_path / "flat.mmdb")).fetch(asked)
    assert places.select("key", "country", "latitude", "postal_code", "status").rows() == [
        ("1.1.1.1", "AU", -33.5, "2000", "ok"),
        ("2.2.2.2", "FR", 48.85, "75000", "ok"),
        ("3.3.3.3", None, None, None, "malformed"),
        ("4.4.4.4", None, None, None, "ok"),
    ]
    networks = open_networks(str(tmp_path / "flat.mmdb")).fetch(asked)
    assert networks.rows()[2:] == [("3.3.3.3", None, "One", "malformed"), ("4.4.4.4", None, "Two", "malformed")]


@real_data
def test_nested_places():
    store = open_places(str(GEO / "GeoIP2-City-Test.mmdb"))
    found = store.fetch(pl.Series(["2.125.160.216", "2001:218::1", "9.9.9.9"])).rows_by_key("key", named=True)
    assert set(found) == {"2.125.160.216", "2001:218::1"}
    boxford = found["2.125.160.216"][0]
    assert (boxford["country"], boxford["continent"], boxford["region"], boxford["city"]) == (
        "GB",
        "EU",
        "ENG",
        "Boxford",
    )
    assert (boxford["latitude"], boxford["longitude"], boxford["time_zone"]) == (51.75, -1.25, "Europe/London")
    assert found["2001:218::1"][0]["country"] == "JP"


@real_data
def test_networks():
    found = open_networks(str(GEO / "GeoLite2-ASN-Test.mmdb")).fetch(pl.Series(["1.128.0.1", "192.0.9.9"]))
    assert found.rows() == [("1.128.0.1", 1221, "Telstra Pty Ltd")]


@real_data
def test_a_flat_database_equals_the_reader():
    path = GEO / "dbip-country.mmdb"
    rng = random.Random(5)
    keys = [str(ipaddress.IPv6Address((0x2A << 120) | rng.getrandbits(120))) for _ in range(300)]
    keys += [str(ipaddress.IPv4Address(rng.getrandbits(32))) for _ in range(50)]
    with maxminddb.open_database(path) as reader:
        expected = {key: record["country_code"] for key in keys if (record := reader.get(key)) is not None}
    found = open_places(str(path)).fetch(pl.Series(keys))
    assert dict(found.select("key", "country").iter_rows()) == expected
    assert len(expected) > 20


@real_data
@pytest.mark.parametrize("name", ["GeoIP2-City-Test.mmdb", "dbip-country.mmdb"])
@pytest.mark.parametrize("damage", ["half", "cut 100", "head", "garbage", "empty", "middle"])
def test_a_damaged_database_is_one_line_at_the_start(tmp_path, name, damage):
    data = (GEO / name).read_bytes()
    rng = random.Random(1)
    third = len(data) // 3
    damaged = {
        "half": data[: len(data) // 2],
        "cut 100": data[:-100],
        "head": data[third:],
        "garbage": rng.randbytes(5000),
        "empty": b"",
        "middle": rng.randbytes(len(data) - 2000) + data[-2000:],
    }[damage]
    path = tmp_path / "geo.mmdb"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"geo\.mmdb: not a readable MaxMind database, or damaged") as caught:
        open_places(str(path))
    assert "\n" not in str(caught.value)


@real_data
def test_a_missing_or_wrong_database_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"none\.mmdb: no such file"):
        open_places(str(tmp_path / "none.mmdb"))
    with pytest.raises(ValueError, match="GeoLite2-ASN has none of country"):
        open_places(str(GEO / "GeoLite2-ASN-Test.mmdb"))
