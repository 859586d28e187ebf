"""Writes the generated parts of docs/ from the code; `make docs`. A test compares them.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. docs/event.schema.json is generated as a whole.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from ecompulse.intake import DATA_QUALITY, DEAD_LETTERS
from ecompulse.kernels.alerts.rules import standard_rules
from ecompulse.kernels.decode.rules import Rule
from ecompulse.kernels.enrich.enrichment import EnrichConfig
from ecompulse.kernels.enrich.lookup import LookupStep
from ecompulse.kernels.enrich.step import Step
from ecompulse.kernels.event import EVENT_TYPES, FIELDS, Field, Kind
from ecompulse.kernels.metrics.definition import standard_metrics
from ecompulse.kernels.schema import json_schema

DOCS: Final = Path(__file__).parents[1] / "docs"
PART: Final = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

KINDS: Final = {
    Kind.TEXT: "text",
    Kind.MONEY: "decimal(18,4)",
    Kind.INTEGER: "integer (64 bits)",
    Kind.TIME: "time (UTC, ms)",
    Kind.OBJECT: "object, kept as JSON text",
}


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def fields() -> str:
    """The event's fields."""
    head = ("field", "type", "required", "meaning")
    return table(head, *((f"`{f.name}`", KINDS[f.kind], "yes" if f.required else "", _meaning(f)) for f in FIELDS))


def _meaning(field: Field) -> str:
    known = " ".join(f"`{value}`" for value in field.values) if field.values != EVENT_TYPES else "see below"
    return "; ".join(part for part in (field.help, f"known: {known}" if field.values else "") if part)


def types() -> str:
    """The event types."""
    return " ".join(f"`{name}`" for name in EVENT_TYPES) + "\n"


def rules() -> str:
    """The rules that name dead letters."""
    return table(("rule", "the row becomes a dead letter because"), *((f"`{rule.value}`", rule.help) for rule in Rule))


def columns() -> str:
    """Columns that each step of enrichment adds, besides its status."""

    def shown(step: Step) -> str:
        if isinstance(step, LookupStep):
            return f"`{step.name}_*`: the columns of the store or of the update stream"
        return " ".join(f"`{name}`" for name in step.columns({})) or "none; it hides what stands in others"

    return table(("step", "columns"), *((step.name, shown(step)) for step in EnrichConfig().steps))


def outputs() -> str:
    """Schemas of the tables that every job has."""
    return "\n".join(f"`{spec.name}`\n\n{schema(spec.schema)}" for spec in (DEAD_LETTERS, DATA_QUALITY))


def metrics() -> str:
    """The standard metrics with their formulas."""
    rows = []
    for name, metric in standard_metrics().metrics.items():
        windows = ", ".join(window.label for window in metric.windows)
        by = " ".join(f"`{dimension}`" for dimension in metric.dimensions)
        marks = ", early" if metric.early else ""
        rows.append((f"`{name}`", metric.help, f"{windows}{marks}", by))
    return table(("metric", "formula", "windows", "dimensions"), *rows)


def alerts() -> str:
    """The standard rules."""
    rows = ((f"`{name}`", rule.help, rule.severity) for name, rule in standard_rules().rules.items())
    return table(("rule", "fires when", "severity"), *rows)


def schema(of: pl.Schema) -> str:
    """A schema as a table."""
    names = {pl.String(): "text", pl.Int64(): "integer", pl.Int32(): "integer", pl.Binary(): "bytes"}
    return table(("column", "type"), *((f"`{name}`", names.get(kind, "time (UTC)")) for name, kind in of.items()))


PARTS: Final[dict[str, Callable[[], str]]] = {
    "fields": fields,
    "types": types,
    "rules": rules,
    "columns": columns,
    "outputs": outputs,
    "metrics": metrics,
    "alerts": alerts,
}


def written(text: str) -> str:
    """A document with its generated parts as the code has them now; KeyError for a part that nobody makes."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def documents() -> dict[Path, str]:
    """Every generated file, as it should be."""
    found = {path: written(path.read_text("utf-8")) for path in sorted(DOCS.glob("*.md"))}
    return {**found, DOCS / "event.schema.json": json.dumps(json_schema(), indent=2) + "\n"}


def main() -> None:
    """Write what differs."""
    for path, text in documents().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"docs: wrote {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
