"""What enrichment needs from outside, opened once per process and shared by its threads."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from ecompulse.io.lookups.cache import CachedLookup, Counters
from ecompulse.io.lookups.functions import Computed
from ecompulse.io.lookups.geo import open_networks, open_places
from ecompulse.io.lookups.store import Store, open_lookup
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich import currency
from ecompulse.kernels.enrich.config import CacheConfig, EnrichConfig, LookupStep, OnError
from ecompulse.kernels.enrich.device import AGENT, parse_agents
from ecompulse.kernels.enrich.enrichment import Resources

Guard = Callable[[Store], Store]
"""Puts a deadline, retries or a breaker around a store; the store itself by default."""

MIN_KEY_LENGTH: Final = 16
_FOREVER: Final = 2**60  # ms

_lock = threading.Lock()
_shared: dict[object, CachedLookup] = {}
_rates: dict[object, pl.DataFrame] = {}


def open_resources(config: EnrichConfig, guard: Guard = lambda store: store) -> Resources:
    """Everything that the steps that are on need; look-ups with equal settings share store and cache.

    Workers call it once per bundle: what is open already costs nothing. The driver calls it at the start, so
    that a wrong path or a corrupt file is one line before any data moves.

    Raises:
        ConfigError: one line with the path of the setting.
    """
    steps = config.steps
    geo = steps.geo
    return Resources(
        user=_keyed("user", steps.user, guard),
        product=_keyed("product", steps.product, guard),
        places=_opened(
            "geo.database", geo.database if geo.enabled else None, open_places, geo.on_error, geo.cache, guard
        ),
        networks=_opened(
            "geo.asn_database", geo.asn_database if geo.enabled else None, open_networks, geo.on_error, geo.cache, guard
        ),
        agents=_agents(steps.device.max_rows) if steps.device.enabled else None,
        rates=_open_rates(steps.currency.rates if steps.currency.enabled else None, steps.currency.base),
        pii_key=_read_key(steps.pii.key) if steps.pii.active else None,
    )


def counters() -> dict[str, Counters]:
    """Counters of every cache of this process, by the path of its setting and what it opens."""
    with _lock:
        return {f"{key[0]}={key[1]}": found.counters() for key, found in _shared.items() if isinstance(key, tuple)}


def forget() -> None:
    """Close everything: a forked worker must not share its parent's connections, nor a test another's cache."""
    global _lock  # noqa: PLW0603  # a lock held by another thread at the fork would stay held for ever
    _lock = threading.Lock()
    _shared.clear()
    _rates.clear()


os.register_at_fork(after_in_child=forget)


def _keyed(step: str, section: LookupStep, guard: Guard) -> CachedLookup | None:
    text = section.lookup if section.enabled else None
    return _opened(f"{step}.lookup", text, open_lookup, section.on_error, section.cache, guard)


def _opened(
    name: str, text: str | None, opener: Callable[[str], Store], on_error: OnError, cache: CacheConfig, guard: Guard
) -> CachedLookup | None:
    if text is None:
        return None
    key = (name, text, on_error, cache)
    with _lock:
        if key not in _shared:
            try:
                _shared[key] = CachedLookup(guard(opener(text)), on_error, cache)
            except ValueError as error:
                raise ConfigError(f"steps.{name}", str(error)) from error
        return _shared[key]


def _agents(max_rows: int) -> CachedLookup:
    key = ("device", "user_agent", max_rows)
    config = CacheConfig(ttl=_FOREVER, negative_ttl=_FOREVER, max_rows=max_rows)
    with _lock:
        if key not in _shared:
            _shared[key] = CachedLookup(Computed(AGENT, parse_agents), "fail", config)
        return _shared[key]


def _open_rates(path: str | None, base: str) -> pl.DataFrame:
    if path is None:
        return pl.DataFrame(schema=currency.RATES)
    with _lock:
        if (path, base) not in _rates:
            try:
                _rates[path, base] = currency.check_rates(_read_rates(path), base)
            except ValueError as error:
                raise ConfigError("steps.currency.rates", f"{path} {error}") from error
        return _rates[path, base]


def _read_rates(path: str) -> pl.DataFrame:
    if not Path(path).is_file():
        raise ValueError("is no file")
    try:
        # Text, not numbers: a rate must not pass through a float.
        return pl.read_parquet(path) if path.endswith(".parquet") else pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"cannot be read: {str(error).splitlines()[0]}") from error


def _read_key(source: str | None) -> str | None:
    if source is None:
        return None
    kind, _, place = source.partition(":")
    try:
        key = os.environ[place] if kind == "env" else Path(place).read_text(encoding="utf-8").strip()
    except KeyError:
        raise ConfigError("steps.pii.key", f"environment variable {place} is not set") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("steps.pii.key", f"{place} cannot be read: {type(error).__name__}") from None
    if len(key) < MIN_KEY_LENGTH:
        raise ConfigError("steps.pii.key", f"{source} holds fewer than {MIN_KEY_LENGTH} characters")
    return key
