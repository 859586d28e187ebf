"""`EnrichEvents`: user, product, place, device, campaign, currency and privacy policy, in one pass over columns."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import require_bounded, tagged_outputs
from ecompulse.kernels.enrich.config import EnrichConfig
from ecompulse.kernels.enrich.enrichment import Resources, enrich

OpenResources = Callable[[EnrichConfig], Resources]
"""Opens look-ups on a worker; `ecompulse.io.lookups.open_resources`. What is open already costs nothing."""

TakeUsage = Callable[[EnrichConfig], Mapping[str, Any] | None]
"""What this process's look-ups did since it was last called; `ecompulse.io.lookups.take_usage`."""

_EVENTS: Final = "events"
_USAGE: Final = "usage"


class EnrichEvents(beam.PTransform):
    """Adds the columns of every step and `enrichment_status` to frames of events; rows and order are kept.

    Input and output: bounded PCollections of frames. No shuffle, no state. Look-ups are as fresh as their cache's
    ttl; a failing look-up does what its `on_error` says: nulls, the expired entry, or the bundle fails.
    """

    def __init__(
        self,
        config: EnrichConfig,
        resources: OpenResources,
        usage: TakeUsage | None = None,
        collect: Callable[[Any], None] | None = None,
    ) -> None:
        """`resources` is called on workers, once per bundle; `collect` (`Scope.collect`) takes what `usage` tells."""
        super().__init__()
        self._config = config
        self._resources = resources
        self._usage = usage
        self._collect = collect

    def expand(self, events: Any) -> Any:
        """One ParDo."""
        require_bounded(events, "EnrichEvents")
        found = events | tagged_outputs(
            _Enrich(self._config, self._resources, self._usage), {_EVENTS: pl.DataFrame, _USAGE: bytes}
        )
        if self._collect is not None:
            self._collect(found[_USAGE])
        return found[_EVENTS]


class _Enrich(beam.DoFn):
    def __init__(self, config: EnrichConfig, resources: OpenResources, usage: TakeUsage | None) -> None:
        self._config = config
        self._open = resources
        self._take = usage
        self._resources = Resources()

    def start_bundle(self) -> None:
        self._resources = self._open(self._config)

    def process(self, element: pl.DataFrame) -> Iterable[Any]:
        yield beam.pvalue.TaggedOutput(_EVENTS, enrich(element, self._config, self._resources))

    def finish_bundle(self) -> Iterable[Any]:
        told = self._take(self._config) if self._take else None
        if told:
            value = beam.utils.windowed_value.WindowedValue(
                json.dumps(told).encode(), 0, [beam.transforms.window.GlobalWindow()]
            )
            yield beam.pvalue.TaggedOutput(_USAGE, value)
