"""The measures that come with the package; a new one is one file and its name here."""

from typing import Final

from ecompulse.kernels.metrics.measures.base import Measure
from ecompulse.kernels.metrics.measures.count import Count
from ecompulse.kernels.metrics.measures.distinct import Distinct
from ecompulse.kernels.metrics.measures.extremes import Max, Min
from ecompulse.kernels.metrics.measures.parse import MEASURES, parse_measure, register_measure
from ecompulse.kernels.metrics.measures.quantiles import Quantiles
from ecompulse.kernels.metrics.measures.quotients import Rate, Ratio
from ecompulse.kernels.metrics.measures.sums import Mean, Sum
from ecompulse.kernels.metrics.measures.top import Top

BUILT_IN: Final[tuple[type[Measure], ...]] = (Count, Sum, Mean, Min, Max, Distinct, Quantiles, Top, Rate, Ratio)

for _measure in BUILT_IN:
    MEASURES.setdefault(_measure.name, _measure)

__all__ = ["BUILT_IN", "MEASURES", "parse_measure", "register_measure"]
