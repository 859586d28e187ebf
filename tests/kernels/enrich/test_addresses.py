"""Addresses against Python's ipaddress."""

import ipaddress

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.enrich.addresses import SPECIAL, classify, mask

NETWORKS = [(ipaddress.ip_network(text), status) for status, texts in SPECIAL.items() for text in texts]
EDGES = [int(n[0]) + d for n, _ in NETWORKS for d in (-1, 0)] + [int(n[-1]) + d for n, _ in NETWORKS for d in (0, 1)]


def oracle(text: str | None) -> tuple[str | None, str]:
    if text is None:
        return None, "no_key"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None, "malformed"
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    plain = ipaddress.ip_address(str(address).partition("%")[0])
    status = [s for net, s in NETWORKS if net.version == plain.version and plain in net]
    return str(plain), status[0] if status else "ok"


def _v6(number: int) -> str:
    return str(ipaddress.IPv6Address(number % 2**128))


addresses = st.one_of(
    st.none(),
    st.ip_addresses().map(str),
    st.sampled_from(EDGES).map(lambda n: str(ipaddress.IPv4Address(n % 2**32))),
    st.sampled_from(EDGES).map(_v6),
    st.ip_addresses(v=4).map(lambda a: f"::ffff:{a}"),
    st.ip_addresses(v=6).map(lambda a: a.exploded.upper()),
    st.ip_addresses(v=6).map(lambda a: f"{a}%eth0"),
    st.text("0123456789abcdef:.% ", max_size=20),
    st.text(max_size=5),
    st.sampled_from(
        [
            "1.2.3.4:80",
            "01.2.3.4",
            "1.2.3",
            "256.1.1.1",
            "::1%",
            "::1%a%b",
            "[::1]",
            "1.2.3.4 ",
            "1::2::3",
            "٣.1.1.1",
            "1٢٣.1.1.1",
        ]
    ),
)


@given(st.lists(addresses, max_size=20))
def test_classification_equals_the_standard_library(texts):
    found = classify(pl.Series("ip", texts, pl.String))
    # `::1.2.3.4` (deprecated) is written by the C library with its IPv4 part: compared as numbers.
    expected = [oracle(text) for text in texts]
    assert found["status"].to_list() == [status for _, status in expected]
    assert [a and ipaddress.ip_address(a) for a in found["address"]] == [
        a and ipaddress.ip_address(a) for a, _ in expected
    ]


@pytest.mark.parametrize("number", sorted({edge for edge in EDGES if 0 <= edge < 2**32}))
def test_ipv4_is_public_exactly_where_python_says_global(number):
    address = ipaddress.IPv4Address(number)
    if address in ipaddress.ip_network("192.0.0.0/24"):  # Python's view of it changed between patch releases
        return
    public = address.is_global and not address.is_multicast
    assert (classify(pl.Series([str(address)]))["status"][0] == "ok") == public


@given(st.lists(addresses, max_size=20))
def test_a_mask_hides_the_host_and_keeps_the_network(texts):
    def expected(text: str | None) -> str | None:
        address, status = oracle(text)
        if status in ("no_key", "malformed"):
            return None if text is None else "***"
        bits = 24 if ":" not in str(address) else 48
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False)[0])

    assert mask(pl.Series("ip", texts, pl.String)).to_list() == [expected(text) for text in texts]


@pytest.mark.parametrize("text", ["1.2.3.4", "2a00:1450:4001:82b::200e", "2001:0:0:1::1", "2a00:1::5"])
def test_masked_addresses_of_one_network_are_equal(text):
    other = str(ipaddress.ip_address(int(ipaddress.ip_address(text)) ^ 1))
    assert mask(pl.Series([text]))[0] == mask(pl.Series([other]))[0]
