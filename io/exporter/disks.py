"""File systems as Prometheus sees them: what is free at the moment of the scrape, also while no epoch is committed."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from ecompulse.io.exporter.catalogue import JOB, METRICS, PREFIX

Spaces = Callable[[], Mapping[str, Mapping[str, int]]]
"""Bytes `free` and `size` of the file system of each place."""


class Disks:
    """A collector of two gauges; it asks anew at each scrape."""

    def __init__(self, job: str, spaces: Spaces) -> None:
        """`spaces`: says what is free."""
        self._job = job
        self._spaces = spaces

    def collect(self) -> Iterator[Metric]:
        """The gauges of all places."""
        spaces = self._spaces()
        for key in ("free", "size"):
            name = f"disk_{key}_bytes"
            family = GaugeMetricFamily(f"{PREFIX}{name}", METRICS[name].help, labels=[JOB, "place"])
            for place, space in spaces.items():
                family.add_metric([self._job, place], space[key])
            yield family

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked when it is registered."""
        return iter(())
