"""Look-up stores behind one interface, and the cache in front of them."""

from ecompulse.io.lookups.cache import CachedLookup, Counters
from ecompulse.io.lookups.resources import check_resources, counters, open_resources, take_usage
from ecompulse.io.lookups.store import LookupFailed, LookupSpec, Store, open_lookup, parse_spec, register_lookup

__all__ = [
    "CachedLookup",
    "Counters",
    "LookupFailed",
    "LookupSpec",
    "Store",
    "check_resources",
    "counters",
    "open_lookup",
    "open_resources",
    "parse_spec",
    "register_lookup",
    "take_usage",
]
