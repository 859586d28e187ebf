"""One HTML file that tells of a finished run, with plots: it needs nothing but itself, and can be mailed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from ecompulse.kernels.dictionary.registry import comment_of
from ecompulse.ui.charts import line_chart, stacked_chart
from ecompulse.ui.words import number

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Plot:
    """Numbers over equal steps.

    Attributes:
        labels: of the steps.
        series: by name; a None is a gap.
        stacked: whether the series are parts of a whole.
    """

    title: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    stacked: bool = False

    @property
    def chart(self) -> Markup:
        """As a picture; empty without a value."""
        if not self.stacked:
            return line_chart(self.title, self.labels, self.series)
        whole = {name: [value or 0.0 for value in values] for name, values in self.series.items()}
        return stacked_chart(self.title, self.labels, whole)


@dataclass(frozen=True)
class Listing:
    """A table; `why` is what an empty one means."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    why: str = "nothing"


@dataclass(frozen=True)
class Report:
    """A run, told.

    Attributes:
        lead: what it was, in a sentence.
        parts: plots and tables, in order.
    """

    title: str
    lead: str
    parts: Sequence[Plot | Listing] = field(default_factory=tuple)

    def html(self) -> str:
        """The whole file."""
        environment = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True)
        environment.filters |= {"number": number, "meaning": comment_of}
        style = Markup((_HERE / "static" / "style.css").read_text("utf-8"))  # noqa: S704  # ours
        shown = [(part, part.chart if isinstance(part, Plot) else None) for part in self.parts]
        return environment.get_template("report.html").render(report=self, parts=shown, style=style)
