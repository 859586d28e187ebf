"""IP addresses in columns: parsed, made canonical, and told apart by who may hold them.

IPv4 is parsed by expressions; IPv6 by the C library, once per different text.
"""

import socket
from bisect import bisect_right
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import Final

import polars as pl

from ecompulse.kernels.enrich.status import MALFORMED, NO_KEY, OK, PRIVATE, RESERVED

SPECIAL: Final = {
    PRIVATE: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    RESERVED: (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/127", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16", "fe80::/10",
        "fec0::/10", "ff00::/8",
    ),
}  # fmt: skip
"""Networks that belong to nobody in particular (IANA special-purpose registries): private ones (RFC 1918, 4193,
6598), and loopback, link-local, documentation, benchmark, multicast and future ones."""

_OCTET: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"  # \d would be any script's digits
_IPV4: Final = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"


def _ranges(version: int) -> list[tuple[int, int, str]]:
    """First address, last address, status; sorted, not overlapping."""
    networks = [(ip_network(text), status) for status, texts in SPECIAL.items() for text in texts]
    return sorted(
        (int(net.network_address), int(net.broadcast_address), status)
        for net, status in networks
        if net.version == version
    )


_MAPPED: Final = bytes(10) + b"\xff\xff"

_PREFIX_48: Final = r"^([1-9a-f][0-9a-f]*:[1-9a-f][0-9a-f]*:[1-9a-f][0-9a-f]*):.*$"
"""Canonical IPv6 whose first three groups are written out; a zero among them may be hidden in `::`."""


_V4: Final = _ranges(4)
_V6: Final = _ranges(6)
_V6_STARTS: Final = [first for first, _, _ in _V6]


def classify(ips: pl.Series) -> pl.DataFrame:
    """Columns `address` (canonical text, IPv4-mapped IPv6 as IPv4; null if malformed) and `status`, row by row.

    `status` is `ok` (public), `private`, `reserved`, `malformed`, or `no_key` for a null. Leading zeros,
    ports and blanks are malformed; a zone (`%eth0`) is dropped. Meant for unique values: IPv6 costs microseconds each.
    """
    texts = ips.cast(pl.String).rename("address")
    is_v6 = texts.str.contains(":", literal=True).fill_null(value=False)
    if not is_v6.any():
        return _classify_v4(texts)
    parsed = {text: _classify_v6(text) for text in texts.filter(is_v6).unique()}
    mapped = {text: found[0] for text, found in parsed.items()}
    texts = texts.replace_strict(list(mapped), list(mapped.values()), default=texts, return_dtype=pl.String).rename(
        "address"
    )
    status = ips.cast(pl.String).replace_strict(
        list(parsed), [found[1] for found in parsed.values()], default=None, return_dtype=pl.String
    )
    return _classify_v4(texts).with_columns(pl.coalesce(status, "status").alias("status"))


@lru_cache(maxsize=65_536)  # a geo step and a policy see the same addresses, a batch those of the last one
def _classify_v6(text: str) -> tuple[str | None, str | None]:
    """Canonical text and status; the status is None where the address is really IPv4.

    The C library's parser takes 1 us where `ipaddress` takes 8; the tests hold them equal.
    """
    plain, percent, zone = text.partition("%")
    try:
        packed = socket.inet_pton(socket.AF_INET6, plain)
    except (OSError, ValueError):
        return None, MALFORMED
    if percent and (not zone or "%" in zone):
        return None, MALFORMED
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:]), None
    number = int.from_bytes(packed)
    place = bisect_right(_V6_STARTS, number) - 1
    status = _V6[place][2] if place >= 0 and number <= _V6[place][1] else OK
    return socket.inet_ntop(socket.AF_INET6, packed), status


def _classify_v4(texts: pl.Series) -> pl.DataFrame:
    octets = pl.col("address").str.extract_groups(_IPV4).struct.unnest()
    frame = texts.to_frame().with_columns(octets)
    parts = [pl.col(str(place)).cast(pl.Int64) * 256 ** (4 - place) for place in range(1, 5)]
    number = parts[0] + parts[1] + parts[2] + parts[3]
    special = pl.coalesce(
        pl.when(pl.col("number").is_between(first, last)).then(pl.lit(status)) for first, last, status in _V4
    )
    status = (
        pl.when(pl.col("address").is_null())
        .then(pl.lit(NO_KEY))
        .when(pl.col("number").is_null())
        .then(pl.lit(MALFORMED))
        .otherwise(pl.coalesce(special, pl.lit(OK)))
    )
    good = pl.when(pl.col("number").is_not_null() | pl.col("address").str.contains(":", literal=True))
    return frame.select("address", number=number).select(
        address=good.then(pl.col("address")),
        status=status,
    )


def mask(ips: pl.Series) -> pl.Series:
    """IPv4 with its last octet 0, IPv6 with all but 48 bits 0, anything else `***`; nulls stay."""
    unique = ips.drop_nulls().unique()
    parsed = classify(unique)
    kept = parsed.select(
        pl.when(pl.col("status") == MALFORMED)
        .then(pl.lit("***"))
        .when(pl.col("address").str.contains(":", literal=True))
        .then(pl.col("address"))
        .otherwise(pl.col("address").str.replace(r"\.[0-9]+$", ".0"))
    ).to_series()
    kept = kept.str.replace(_PREFIX_48, "${1}::")
    v6 = kept.str.contains(":", literal=True) & ~kept.str.contains(r"^[^:]+:[^:]+:[^:]+::$")
    prefixes = {text: str(IPv6Address(int(IPv6Address(text)) >> 80 << 80)) for text in kept.filter(v6).unique()}
    masked = kept.replace(list(prefixes), list(prefixes.values())) if prefixes else kept
    return ips.replace_strict(unique, masked, default=None, return_dtype=pl.String)
