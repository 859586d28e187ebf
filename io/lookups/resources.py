"""What enrichment needs from outside, opened once per process and shared by its threads."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from ecompulse.epochs.telemetry import telemetry
from ecompulse.io.lookups.cache import CachedLookup, Counters
from ecompulse.io.lookups.functions import Computed
from ecompulse.io.lookups.geo import open_networks, open_places
from ecompulse.io.lookups.guard import GuardedStore, Policy
from ecompulse.io.lookups.store import KEY, LookupFailed, Store, is_local, open_lookup, parse_spec
from ecompulse.io.lookups.usage import PART
from ecompulse.io.secrets import read_secret
from ecompulse.io.tabular import read_table
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich import currency
from ecompulse.kernels.enrich.config import CacheConfig, DeviceStep, EnrichConfig, LookupStep, OnError
from ecompulse.kernels.enrich.device import AGENT, parse_agents
from ecompulse.kernels.enrich.enrichment import KEYED, Resources
from ecompulse.kernels.enrich.lookup import FOUND_STATUS
from ecompulse.kernels.enrich.versions import TYPES

Guard = Callable[[Store, Policy], Store]
"""Puts deadline, retries and breaker around the store of a keyed look-up."""

MIN_KEY_LENGTH: Final = 16
_FOREVER: Final = 2**60  # ms

_lock = threading.Lock()
_shared: dict[object, CachedLookup] = {}
_guards: dict[object, GuardedStore] = {}
_told: dict[object, Mapping[str, int]] = {}
_rates: dict[object, pl.DataFrame] = {}
_process = uuid.uuid4().hex[:12]


def open_resources(config: EnrichConfig, guard: Guard = GuardedStore) -> Resources:
    """Everything that the steps that are on need; look-ups with equal settings share store, cache and breaker.

    Workers call it once per bundle: what is open already costs nothing. The driver calls it at the start, so
    that a wrong path or a corrupt file is one line before any data moves; servers it asks with `check_resources`.

    Raises:
        ConfigError: one line with the path of the setting.
    """
    steps = config.steps
    geo = steps.geo
    return Resources(
        user=_keyed("user", steps.user, guard),
        product=_keyed("product", steps.product, guard),
        places=_opened("geo.database", geo.database if geo.enabled else None, open_places, geo.on_error, geo.cache),
        networks=_opened(
            "geo.asn_database", geo.asn_database if geo.enabled else None, open_networks, geo.on_error, geo.cache
        ),
        agents=_agents(steps.device) if steps.device.enabled else None,
        rates=_open_rates(steps.currency.rates if steps.currency.enabled else None, steps.currency.base),
        pii_key=_read_key(steps.pii.key) if steps.pii.active else None,
    )


def check_resources(config: EnrichConfig) -> None:
    """Ask each look-up's server whether it is there and lets us in.

    Raises:
        ConfigError: one line with the path of the setting and what the server says.
        LookupFailed: the same of a server that does not answer, for now.
    """
    open_resources(config)
    for step in KEYED:
        store = _guards.get(_key_of(step, getattr(config.steps, step)))
        try:
            if store is not None:
                store.check()
        except LookupFailed as error:
            raise LookupFailed(f"steps.{step}.lookup: {error}") from None
        except ValueError as error:
            raise ConfigError(f"steps.{step}.lookup", str(error)) from None


def take_usage(config: EnrichConfig) -> dict[str, Any] | None:
    """What this process's keyed look-ups have done since it was last asked; None where there are none.

    A fact for the epoch's telemetry: counts, those of Counters and of Trouble, and the breaker's state now.
    """
    with _lock:
        counts, states = dict[str, int](), dict[str, tuple[float, str]]()
        for step in KEYED:
            key = _key_of(step, getattr(config.steps, step))
            if key in _guards:
                now = {**asdict(_shared[key].counters()), **asdict(_guards[key].trouble())}
                before, _told[key] = _told.get(key, {}), now
                counts |= {f"{step}/{name}": count - before.get(name, 0) for name, count in now.items()}
                states[f"{step}/{_process}"] = (time.monotonic_ns(), _guards[key].state)
        return telemetry(PART, counts, states) if states else None


def counters() -> dict[str, Counters]:
    """Counters of every cache of this process, by the path of its setting and what it opens."""
    with _lock:
        return {f"{key[0]}={key[1]}": found.counters() for key, found in _shared.items() if isinstance(key, tuple)}


def forget() -> None:
    """Close everything: a forked worker must not share its parent's connections, nor a test another's cache."""
    global _lock, _process  # noqa: PLW0603  # a lock held by another thread at the fork would stay held for ever
    _lock = threading.Lock()
    _process = uuid.uuid4().hex[:12]
    _shared.clear()
    _guards.clear()
    _told.clear()
    _rates.clear()


os.register_at_fork(after_in_child=forget)


def _key_of(step: str, section: LookupStep) -> object:
    return (f"{step}.lookup", section.lookup, repr(section)) if section.enabled and section.lookup else None


def _keyed(step: str, section: LookupStep, guard: Guard) -> CachedLookup | None:
    key = _key_of(step, section)
    if key is None:
        return None
    with _lock:
        if key not in _shared:
            try:
                store = guard(
                    _open(section), Policy(f"steps.{step}", section.deadline, section.retries, section.breaker)
                )
                _check_names(store.columns)
            except ValueError as error:
                raise ConfigError(f"steps.{step}.lookup", str(error)) from error
            if isinstance(store, GuardedStore):
                _guards[key] = store
            _shared[key] = CachedLookup(store, section.on_error, section.cache)
        return _shared[key]


def _open(section: LookupStep) -> Store:
    declared = {name: TYPES[kind] for name, kind in section.columns.items()}
    spec = parse_spec(section.lookup or "")
    # The guard gives up on a server first, and says so; a store in this process must end by itself.
    seconds = section.deadline / 1000 * (1 if is_local(spec) else 2)
    return open_lookup(replace(spec, declared=declared, timeout=seconds))


def _check_names(columns: pl.Schema) -> None:
    for name in (KEY, FOUND_STATUS):
        if name in columns:
            raise ValueError(
                f"its column {name} has a name that the look-up itself needs; choose others with columns=a,b"
            )


def _opened(
    name: str, text: str | None, opener: Callable[[str], Store], on_error: OnError, cache: CacheConfig
) -> CachedLookup | None:
    if text is None:
        return None
    key = (name, text, on_error, cache)
    with _lock:
        if key not in _shared:
            try:
                _shared[key] = CachedLookup(opener(text), on_error, cache)
            except ValueError as error:
                raise ConfigError(f"steps.{name}", str(error)) from error
        return _shared[key]


def _agents(step: DeviceStep) -> CachedLookup:
    key = ("device", "user_agent", step)
    config = CacheConfig(ttl=_FOREVER, negative_ttl=_FOREVER, max_rows=step.max_rows)
    with _lock:
        if key not in _shared:
            _shared[key] = CachedLookup(Computed(AGENT, partial(parse_agents, own=step.own_agents)), "fail", config)
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
        return read_table(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"cannot be read: {str(error).splitlines()[0]}") from error


def _read_key(source: str | None) -> str | None:
    if source is None:
        return None
    try:
        key = read_secret(source)
    except ValueError as error:
        raise ConfigError("steps.pii.key", str(error)) from None
    if len(key) < MIN_KEY_LENGTH:
        raise ConfigError("steps.pii.key", f"{source} holds fewer than {MIN_KEY_LENGTH} characters")
    return key
