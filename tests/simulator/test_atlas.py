"""The shop's own place database: MaxMind's reader finds each of its addresses, and nothing else."""

import ipaddress

import maxminddb
import pytest

from ecompulse.io.lookups.geo import open_places
from ecompulse.simulator.atlas import write_atlas
from ecompulse.simulator.places import COUNTRIES


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    found = tmp_path_factory.mktemp("atlas") / "places.mmdb"
    write_atlas(found)
    return found


@pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: country.code)
@pytest.mark.parametrize("mode", [maxminddb.MODE_AUTO, maxminddb.MODE_MEMORY])
def test_first_and_last_address_of_each_network_are_of_its_country(path, country, mode):
    with maxminddb.open_database(path, mode) as reader:
        for text in (country.v4, country.v6):
            network = ipaddress.ip_network(text)
            for address in (network[0], network[-1]):
                assert reader.get(str(address)) == {"country_code": country.code}


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.1", "2001:db8::1", "255.255.255.255", "::"])
def test_other_addresses_are_nowhere(path, address):
    with maxminddb.open_database(path) as reader:
        assert reader.get(address) is None
        assert reader.metadata().ip_version == 6


def test_the_step_of_places_takes_it(path):
    assert open_places(str(path)).versions == "IPv4 and IPv6"
