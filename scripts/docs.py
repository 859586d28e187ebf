"""Writes the generated parts of docs/ from the code; `make docs`. A test compares them.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. docs/event.schema.json, dbt's sources and
DuckDB's views are generated as a whole.
"""

import contextlib
import importlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from ecompulse.cli.__main__ import JOBS, TOOLS
from ecompulse.cli.flags import Flag, default_of, metavar_of
from ecompulse.cli.settings import all_flags
from ecompulse.cli.shipped import Shipped, shared_of, shipped_tables
from ecompulse.io.exporter.catalogue import METRICS, PREFIX
from ecompulse.io.sinks.catalogue import dbt_sources, duckdb_views, entries_of
from ecompulse.kernels.alerts.rules import standard_rules
from ecompulse.kernels.decode.rules import Rule
from ecompulse.kernels.dictionary.registry import about, described
from ecompulse.kernels.enrich.enrichment import EnrichConfig
from ecompulse.kernels.enrich.lookup import LookupStep
from ecompulse.kernels.enrich.step import Step
from ecompulse.kernels.event import EVENT_TYPES, FIELDS, Field, Kind
from ecompulse.kernels.mapping import load_mapping, shipped_mappings
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


@cache
def _shipped() -> dict[str, Shipped]:
    return shipped_tables()


def tables() -> str:
    """Every table with its columns."""
    return "\n".join(_table(name) for name in described())


def _table(name: str) -> str:
    said, shipped = about(name), _shipped()[name]
    jobs = " ".join(f"`{job}`" for job in shipped.jobs) if len(shipped.jobs) < len(JOBS) else "every job"
    places = "lake, warehouse, topics" if shipped.spec.warehouse else "lake, topics"
    head = (f"### {name}\n\nOne row is {said.grain}. {said.settles}\n\nWritten by {jobs}; in: {places}; "
            f"`{shipped.spec.time}` is its time.\n\n")  # fmt: skip
    rows = [(f"`{each.column}`", each.type, each.unit, _words(each.meaning, each.values), _code(each.example))
            for each in entries_of(shipped.spec)]  # fmt: skip
    return head + table(("column", "type", "unit", "meaning", "example"), *rows)


def _words(meaning: str, values: tuple[str, ...]) -> str:
    return meaning + (f"; one of {' '.join(map(_code, values))}" if values else "")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def mappings() -> str:
    """The mappings that come with the package."""
    rows = ((f"`{name}`", load_mapping(name).help) for name in shipped_mappings())
    return table(("mapping", "reads"), *rows)


def outputs() -> str:
    """The tables that every job has."""
    return "\n".join(_table(name) for name in ("dead_letters", "data_quality"))


def flags() -> str:
    """The flags of the jobs, those that all have first."""
    of_all = {job: all_flags(importlib.import_module(f"pipelines.{job}").SPEC.settings) for job in JOBS}
    common = [flag for flag in of_all["event_enrichment"] if all(_has(flag, each) for each in of_all.values())]
    parts = ["### Of every job\n", *_grouped(common)]
    for job, own in of_all.items():
        further = [flag for flag in own if not _has(flag, common)]
        parts += [f"### Of {job}\n", *_grouped(further)]
    return "\n".join(parts)


def _has(flag: Flag, flags: Iterable[Flag]) -> bool:
    return any(flag.name == each.name for each in flags)


def _grouped(flags: Iterable[Flag]) -> list[str]:
    groups: dict[str, list[Flag]] = {}
    for flag in flags:
        groups.setdefault(flag.group, []).append(flag)
    return [f"{name}\n\n{table(('flag', 'meaning', 'default'), *map(_flag, each))}" for name, each in groups.items()]


def _flag(flag: Flag) -> tuple[str, str, str]:
    value = "" if flag.switch else f"={metavar_of(flag)}"
    return (f"`--{flag.name}{value}`", flag.help, _code(default_of(flag)))


def tools() -> str:
    """What each tool says of itself."""
    return "\n".join(f"### {name}\n\n```text\n{_help(name)}```\n" for name in TOOLS)


def _help(tool: str) -> str:
    """Help of a tool and of its verbs, at a width that is the same everywhere."""
    main = importlib.import_module(f"ecompulse.cli.{tool}").main
    shown = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            main(["--help"])
        verbs = re.search(r"\{([a-z,]+)\} \.\.\.", shown.getvalue().split("\n\n")[0])
        for verb in verbs[1].split(",") if verbs else ():
            shown.write("\n")
            with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
                main([verb, "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return "".join(f"{line.rstrip()}\n" for line in shown.getvalue().splitlines())


def exported() -> str:
    """Metrics for Prometheus."""
    rows = (
        (
            f"`{PREFIX}{name}`",
            each.kind,
            " ".join(map(_code, [*each.labels, *(["dimensions"] if each.open else [])])),
            each.help,
        )
        for name, each in METRICS.items()
    )
    return table(("metric", "kind", "labels", "meaning"), *rows)


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


PARTS: Final[dict[str, Callable[[], str]]] = {
    "fields": fields,
    "types": types,
    "rules": rules,
    "mappings": mappings,
    "columns": columns,
    "outputs": outputs,
    "tables": tables,
    "flags": flags,
    "tools": tools,
    "metrics": metrics,
    "exported": exported,
    "alerts": alerts,
}


def written(text: str) -> str:
    """A document with its generated parts as the code has them now; KeyError for a part that nobody makes."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def documents() -> dict[Path, str]:
    """Every generated file, as it should be."""
    found = {path: written(path.read_text("utf-8")) for path in sorted(DOCS.glob("*.md"))}
    specs = [_shipped()[name].spec for name in described()]
    configs = DOCS.parent / "runner_configs"
    return {
        **found,
        DOCS / "event.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        configs / "dbt" / "models" / "sources.yml": dbt_sources(specs, shared_of(_shipped())),
        configs / "duckdb" / "lake.sql": duckdb_views(specs, "lake"),
    }


def main() -> None:
    """Write what differs."""
    for path, text in documents().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"docs: wrote {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
