"""The dictionary in the forms that other tools read: entries, dbt's sources, DuckDB's views of the lake."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import yaml

from ecompulse.epochs.sinks import TableSpec
from ecompulse.epochs.stored import DATE, stored_schema
from ecompulse.io.sinks.warehouse_schema import FINAL, KEY, LATEST
from ecompulse.kernels.dictionary.column import Column
from ecompulse.kernels.dictionary.registry import about

ID: Final = "id"
REVISION: Final = "revision"
_TYPES: Final[Mapping[Any, str]] = {
    pl.String: "text", pl.Int64: "integer", pl.Int32: "integer", pl.Boolean: "true or false", pl.Float64: "float",
    pl.Binary: "bytes", pl.Datetime: "time (UTC)", pl.Date: "date", pl.List: "list", pl.Struct: "struct",
}  # fmt: skip
_HOURS: Final = {"warn_after": 1, "error_after": 6}
"""Without a new row; a shop at night has fewer."""


@dataclass(frozen=True)
class Entry:
    """A column of a table, as a reader of the lake sees it."""

    table: str
    column: str
    type: str
    unit: str
    meaning: str
    values: tuple[str, ...]
    example: str


def type_of(dtype: pl.DataType) -> str:
    """A column's type in words."""
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.List):
        return f"list of {_inner(dtype.inner)}"
    if isinstance(dtype, pl.Struct):
        return _inner(dtype)
    return _TYPES[type(dtype)]


def _inner(dtype: Any) -> str:
    if isinstance(dtype, pl.Struct):
        return f"struct ({', '.join(field.name for field in dtype.fields)})"
    return type_of(dtype)


def columns_of(spec: TableSpec) -> pl.Schema:
    """Columns of a table in the lake, whose they are and the date among them."""
    return pl.Schema({**stored_schema(spec), DATE: pl.Date()})


def entries_of(spec: TableSpec) -> Iterator[Entry]:
    """What each column of a table means; KeyError names one that nobody has described."""
    for name, dtype in columns_of(spec).items():
        said = about(spec.name).column(name)
        if said is None:
            raise KeyError(f"{spec.name}.{name} is not in the dictionary")
        yield Entry(spec.name, name, type_of(dtype), said.unit, said.meaning, said.values, said.example)


def dbt_sources(specs: Sequence[TableSpec], shared: Container[str] = ()) -> str:
    """`sources.yml` of the tables that the warehouse holds: descriptions, freshness, tests.

    Args:
        specs: the tables.
        shared: names of those that several jobs write, each with ids of its own.
    """
    tables = [_dbt_table(spec, unique=spec.name not in shared) for spec in specs if spec.warehouse]
    source = {
        "name": "ecompulse",
        "description": "Tables that ecompulse's jobs write, exactly once each epoch.",
        "schema": "{{ var('ecompulse_schema', target.schema) }}",
        "tables": tables,
    }
    return yaml.safe_dump({"version": 2, "sources": [source]}, sort_keys=False, width=120, allow_unicode=True)


def _dbt_table(spec: TableSpec, *, unique: bool) -> dict[str, Any]:
    said = about(spec.name)
    columns = [_dbt_column(name, said.column(name), unique=unique and name == ID) for name in stored_schema(spec)]
    return {
        "name": spec.name,
        "description": f"One row is {said.grain}. {said.settles}",
        "loaded_at_field": spec.time,
        "freshness": {name: {"count": hours, "period": "hour"} for name, hours in _HOURS.items()},
        "columns": columns,
    }


def _dbt_column(name: str, said: Column | None, *, unique: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "description": said.comment if said else ""}
    tests: list[Any] = [*(["not_null"] if name in KEY else []), *(["unique"] if unique else [])]
    if said and said.values:
        tests.append({"accepted_values": {"arguments": {"values": list(said.values)}}})
    return {**found, **({"data_tests": tests} if tests else {})}


def latest_sql(name: str, columns: Sequence[str]) -> str:
    """Each row of a table in its last revision, as far as that is settled: a query in DuckDB's SQL."""
    if REVISION not in columns:
        return f"SELECT * FROM {name}"  # noqa: S608  # a table's own name
    settled = " AND final" if FINAL in columns else ""
    order = "PARTITION BY job, instance, id ORDER BY revision DESC, epoch DESC"
    return f"SELECT * FROM {name} QUALIFY row_number() OVER ({order}) = 1{settled}"  # noqa: S608


def duckdb_views(specs: Sequence[TableSpec], lake: str) -> str:
    """SQL that makes a view of each table of the lake, and one of its rows as they stand."""
    lines = ["INSTALL delta;", "LOAD delta;"]
    for spec in specs:
        place = f"{lake}/{spec.name}".replace("'", "''")
        lines.append(f"CREATE OR REPLACE VIEW {spec.name} AS SELECT * FROM delta_scan('{place}');")  # noqa: S608
        lines.append(f"CREATE OR REPLACE VIEW {spec.name}{LATEST} AS {latest_sql(spec.name, list(columns_of(spec)))};")
    return "\n".join(lines) + "\n"
