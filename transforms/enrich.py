"""`EnrichEvents`: user, product, place, device, campaign, currency and privacy policy, in one pass over columns."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.counted import CountedDoFn, counted_frames, fact
from ecompulse.epochs.keyed import require_bounded
from ecompulse.kernels.enrich.enrichment import EnrichConfig, OpenResources, Resources, enrich

TakeUsage = Callable[[EnrichConfig], Mapping[str, Any] | None]
"""What this process's look-ups did since it was last called; `ecompulse.io.lookups.take_usage`."""


def without_lookups(_config: EnrichConfig) -> Resources:
    """No store is asked, and addresses and user agents stay as they are."""
    return {}


class EnrichEvents(beam.PTransform):
    """Adds the columns of every step and its `<step>_status` to frames of events; rows and order are kept.

    Input and output: bounded PCollections of frames. No shuffle, no state. Look-ups are at most as old as their cache's
    ttl. If a look-up fails, its `on_error` decides: nulls, the expired entry, or a failed bundle.

    >>> import apache_beam as beam
    >>> import ecompulse as eco
    >>> from ecompulse.runners.local import LocalRunner
    >>> came = {"event_id": "1", "event_type": "page_view", "event_time": "2025-03-01T10:00:00Z", "user_id": "u"}
    >>> frame = eco.event_frame([{**came, "url": "https://shop.example/?utm_source=mail&utm_medium=email"}])
    >>> with beam.Pipeline(runner=LocalRunner()) as pipeline:
    ...     found = pipeline | beam.Create([frame]) | eco.EnrichEvents()
    ...     _ = found | beam.Map(lambda events: print(events["campaign_channel"].to_list()))
    ['email']
    """

    def __init__(
        self,
        config: EnrichConfig | None = None,
        resources: OpenResources = without_lookups,
        usage: TakeUsage | None = None,
    ) -> None:
        """`resources` is called on workers, once per bundle; the result of `usage` goes to the manifest of an epoch."""
        super().__init__()
        self._fn = _Enrich(config or EnrichConfig(), resources, usage)

    def expand(self, events: Any) -> Any:
        """One ParDo."""
        require_bounded(events, "EnrichEvents")
        return events | counted_frames(self._fn)


class _Enrich(CountedDoFn):
    def __init__(self, config: EnrichConfig, resources: OpenResources, usage: TakeUsage | None) -> None:
        self._config = config
        self._open = resources
        self._take = usage
        self._resources: Resources = {}

    def start_bundle(self) -> None:
        super().start_bundle()
        self._resources = self._open(self._config)

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        self.came(element.height)
        yield self.counted(enrich(element, self._config, self._resources))

    def facts(self) -> Iterable[tuple[int, bytes]]:
        yield from super().facts()
        told = self._take(self._config) if self._take and self.node else None
        if told:
            yield fact(told)
