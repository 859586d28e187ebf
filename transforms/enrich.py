"""`EnrichEvents`: user, product, place, device, campaign, currency and privacy policy, in one pass over columns."""

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import polars as pl

from ecompulse.epochs.keyed import require_bounded
from ecompulse.kernels.enrich.config import EnrichConfig
from ecompulse.kernels.enrich.enrichment import Resources, enrich

OpenResources = Callable[[EnrichConfig], Resources]
"""Opens look-ups on a worker; `ecompulse.io.lookups.open_resources`. What is open already costs nothing."""


class EnrichEvents(beam.PTransform):
    """Adds the columns of every step and `enrichment_status` to frames of events; rows and order are kept.

    Input and output: bounded PCollections of frames. No shuffle, no state. Look-ups are as fresh as their cache's
    ttl; a failing look-up does what its `on_error` says: nulls, the expired entry, or the bundle fails.
    """

    def __init__(self, config: EnrichConfig, resources: OpenResources) -> None:
        """`resources` is called on workers, once per bundle."""
        super().__init__()
        self._config = config
        self._resources = resources

    def expand(self, events: Any) -> Any:
        """One ParDo."""
        require_bounded(events, "EnrichEvents")
        return events | beam.ParDo(_Enrich(self._config, self._resources)).with_output_types(pl.DataFrame)


class _Enrich(beam.DoFn):
    def __init__(self, config: EnrichConfig, resources: OpenResources) -> None:
        self._config = config
        self._open = resources
        self._resources = Resources()

    def start_bundle(self) -> None:
        self._resources = self._open(self._config)

    def process(self, element: pl.DataFrame) -> Iterable[pl.DataFrame]:
        yield enrich(element, self._config, self._resources)
