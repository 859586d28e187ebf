"""What enrichment needs from outside, opened once per process and shared by its threads."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import polars as pl

from ecompulse.epochs.telemetry import telemetry
from ecompulse.io.lookups.cache import CachedLookup, Counters
from ecompulse.io.lookups.functions import Computed
from ecompulse.io.lookups.geo import GeoStore
from ecompulse.io.lookups.guard import GuardedStore, Policy
from ecompulse.io.lookups.store import LookupFailed, Store, check_names, is_local, open_lookup, parse_spec
from ecompulse.io.lookups.usage import PART
from ecompulse.io.secrets import read_secret
from ecompulse.io.tabular import read_table
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.enrichment import EnrichConfig, Resources
from ecompulse.kernels.enrich.geo import GeoDatabase
from ecompulse.kernels.enrich.lookup import LOOKUP, TYPES, KeyedStore, LookupStep
from ecompulse.kernels.enrich.step import FOREVER, CacheConfig, Function, Need, Secret, TableFile

Guard = Callable[[Store, Policy], Store]
"""Puts deadline, retries and breaker around the store of a keyed look-up."""

Key = tuple[str, str]
"""Path of a setting, and the need that it names: equal ones are opened once."""

_lock = threading.Lock()
_shared: dict[Key, Any] = {}
_guards: dict[Key, GuardedStore] = {}
_told: dict[Key, Mapping[str, int]] = {}
_process = uuid.uuid4().hex[:12]


def open_resources(config: EnrichConfig, guard: Guard = GuardedStore) -> Resources:
    """Everything that the steps that are on need; equal needs share store, cache and breaker.

    Workers call it once per bundle: what is open already costs nothing. The driver calls it at the start, so
    that a wrong path or a corrupt file is one line before any data moves; servers it asks with `check_resources`.

    Raises:
        ConfigError: one line with the path of the setting.
    """
    return {
        step.name: {name: _opened(f"{step.name}.{name}", need, guard) for name, need in step.needs().items()}
        for step in config.steps
    }


def check_resources(config: EnrichConfig) -> None:
    """Ask each look-up's server whether it is there and lets us in.

    Raises:
        ConfigError: one line with the path of the setting and what the server says.
        LookupFailed: the same of a server that does not answer, for now.
    """
    open_resources(config)
    for step in config.lookups:
        store = _guards.get(_key_of(step))
        try:
            if store is not None:
                store.check()
        except LookupFailed as error:
            raise LookupFailed(f"steps.{step.name}.{LOOKUP}: {error}") from None
        except ValueError as error:
            raise ConfigError(f"steps.{step.name}.{LOOKUP}", str(error)) from None


def take_usage(config: EnrichConfig) -> dict[str, Any] | None:
    """What this process's keyed look-ups have done since it was last asked; None where there are none.

    A fact for the epoch's telemetry: counts, those of Counters and of Trouble, and the breaker's state now.
    """
    with _lock:
        counts, states = dict[str, int](), dict[str, tuple[float, str]]()
        for step in config.lookups:
            key = _key_of(step)
            if key in _guards:
                now = {**asdict(_shared[key].counters()), **asdict(_guards[key].trouble())}
                before, _told[key] = _told.get(key, {}), now
                counts |= {f"{step.name}/{name}": count - before.get(name, 0) for name, count in now.items()}
                states[f"{step.name}/{_process}"] = (time.monotonic_ns(), _guards[key].state)
        return telemetry(PART, counts, states) if states else None


def counters() -> dict[str, Counters]:
    """Counters of every cache of this process, by the path of its setting; of equal paths that of one."""
    with _lock:
        return {path: found.counters() for (path, _), found in _shared.items() if isinstance(found, CachedLookup)}


def forget() -> None:
    """Close everything: a forked worker must not share its parent's connections, nor a test another's cache."""
    global _lock, _process  # noqa: PLW0603  # a lock held by another thread at the fork would stay held for ever
    _lock = threading.Lock()
    _process = uuid.uuid4().hex[:12]
    _shared.clear()
    _guards.clear()
    _told.clear()


os.register_at_fork(after_in_child=forget)


def _key_of(step: LookupStep) -> Key:
    return (f"{step.name}.{LOOKUP}", repr(step.needs().get(LOOKUP)))


def _opened(path: str, need: Need, guard: Guard) -> Any:
    key = (path, repr(need))
    with _lock:
        if key not in _shared:
            try:
                if isinstance(need, KeyedStore):
                    store = _guarded(need, guard)
                    if isinstance(store, GuardedStore):
                        _guards[key] = store
                    _shared[key] = CachedLookup(store, need.settings.on_error, need.settings.cache)
                else:
                    _shared[key] = open_need(need)
            except ValueError as error:
                raise ConfigError(f"steps.{path}", str(error)) from error
        return _shared[key]


@singledispatch
def open_need(need: Need) -> object:
    """What a step needs, opened; a kind of one's own is added by `open_need.register`.

    Raises:
        ValueError: in a line, why it cannot be had.
    """
    raise TypeError(f"nothing opens a {type(need).__name__}; give its opener to open_need.register")


@open_need.register
def _geo(need: GeoDatabase) -> CachedLookup:
    return CachedLookup(GeoStore(need.path, pl.Schema(need.columns)), need.on_error, need.cache)


@open_need.register
def _function(need: Function) -> CachedLookup:
    cache = CacheConfig(ttl=FOREVER, negative_ttl=FOREVER, max_rows=need.max_rows)
    return CachedLookup(Computed(pl.Schema(need.columns), need.function), "fail", cache)


@open_need.register
def _table(need: TableFile) -> pl.DataFrame:
    if not Path(need.path).is_file():
        raise ValueError(f"{need.path} is no file")
    try:
        # Text, not numbers: a rate must not pass through a float.
        return need.check(read_table(need.path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{need.path} cannot be read: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise ValueError(f"{need.path} {error}") from error


@open_need.register
def _secret(need: Secret) -> str:
    key = read_secret(need.source)
    if len(key) < need.least:
        raise ValueError(f"{need.source} holds fewer than {need.least} characters")
    return key


def _guarded(need: KeyedStore, guard: Guard) -> Store:
    settings = need.settings
    declared = {name: TYPES[kind] for name, kind in settings.declared.items()}
    spec = parse_spec(settings.lookup or "")
    # The guard gives up on a server first, and says so; a store in this process must end by itself.
    seconds = settings.deadline / 1000 * (1 if is_local(spec) else 2)
    store = open_lookup(replace(spec, declared=declared, timeout=seconds))
    store = guard(store, Policy(f"steps.{need.step}", settings.deadline, settings.retries, settings.breaker))
    check_names(spec, store.columns)
    return store
