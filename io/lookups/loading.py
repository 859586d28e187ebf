"""Filling look-up stores from files: in batches, whole rows at a time, the same again when run again."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.io.aws import may_pass
from ecompulse.io.lookups.store import LookupFailed, LookupSpec, flat_type
from ecompulse.io.tabular import read_table

BATCH: Final = 1_000
_WRITES: Final = 25  # items of one BatchWriteItem at the most
_KINDS: Final = {
    pl.Boolean: "boolean", pl.Int8: "integer", pl.Int16: "integer", pl.Int32: "integer", pl.Int64: "integer",
    pl.UInt8: "integer", pl.UInt16: "integer", pl.UInt32: "integer", pl.Float32: "number", pl.Float64: "number",
    pl.Decimal: "decimal",
}  # fmt: skip

Row = Mapping[str, Any]


def read_rows(path: str, spec: LookupSpec, key: str) -> pl.DataFrame:
    """The rows of a .csv (all text), .jsonl or .parquet file, with a key in each, no key twice.

    Raises:
        ValueError: one line: no such file, no such column, a key that stands there twice or not at all.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        rows = read_table(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    names = [key, *(name for name in spec.chosen or rows.columns if name != key)]
    missing = next((name for name in names if name not in rows.columns), None)
    if missing:
        raise ValueError(f"{path}: has no column {missing}; it has {', '.join(rows.columns)}")
    rows = rows.select(_flat(spec, name, rows.schema[name]) for name in names)
    if rows[key].null_count():
        raise ValueError(f"{path}: {rows[key].null_count()} rows have no {key}")
    twice = rows[key].filter(rows[key].is_duplicated())
    if twice.len():
        raise ValueError(f"{path}: {key} is no key: {twice[0]!r} stands there more than once")
    return rows


def _flat(spec: LookupSpec, name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as it is written; whole numbers of any size are."""
    return pl.col(name) if dtype.is_integer() else pl.col(name).cast(flat_type(spec, name, dtype))


def declared_as(rows: pl.DataFrame, key: str) -> dict[str, str]:
    """The columns as a step of --enrich declares them."""
    return {name: _KINDS.get(type(dtype), "text") for name, dtype in rows.schema.items() if name != key}


def load_redis(rows: pl.DataFrame, spec: LookupSpec, key: str) -> int:
    """Write each row as a hash or a text of JSON in place of what was there; returns the number of rows.

    A batch is one transaction. A null is an absent field.

    Raises:
        JobError: the server failed; what was written stays, and a second run writes it again.
        UserError: the server refused: no access, no such table, a value that it cannot hold.
    """
    import redis  # noqa: PLC0415  # an extra

    from ecompulse.io.lookups.redis import RedisStore, failure, may_pass  # noqa: PLC0415
    from ecompulse.io.lookups.redis_connections import Wires, connect, connection_settings  # noqa: PLC0415

    RedisStore(replace(spec, declared={key: pl.String()}, options={**spec.options, "columns": key}))  # checks the rest
    pattern, as_json = spec.options["pattern"], spec.options.get("as") == "json"
    done = 0
    with connect(connection_settings(spec), Wires()) as client:
        for batch in _batches(rows, BATCH):
            pipeline = client.pipeline(transaction=True)
            for row in batch:
                name = pattern.replace("{key}", _plain(row[key]))
                if as_json:
                    pipeline.set(name, json.dumps(_present(row), default=_plain))
                else:
                    pipeline.delete(name)
                    pipeline.hset(name, mapping={field: _plain(value) for field, value in _present(row).items()})
            try:
                pipeline.execute()
            except redis.RedisError as error:
                wrong = JobError if may_pass(error) else UserError
                raise wrong(f"{spec}: {failure(error)}; {done:,} rows were written") from None
            done += len(batch)
    return done


def load_dynamodb(rows: pl.DataFrame, spec: LookupSpec, key: str, *, create: bool) -> int:
    """Put each row as an item in place of what was there; returns the number of rows.

    A null is an absent attribute. With `create`, a table that is not there is made, paid per request.

    Raises:
        JobError: the server failed; what was written stays, and a second run writes it again.
        UserError: the server refused: no access, no such table, a value that it cannot hold.
    """
    from ecompulse.io.lookups.dynamodb import (  # noqa: PLC0415  # an extra
        FAILURES,
        Throttled,
        connect,
        key_kind,
        table_name,
    )

    table, done = table_name(spec), 0
    try:
        client = connect(spec)
        if create:
            _create(client, table, key, "N" if rows.schema[key].is_integer() else "S")
        kind = key_kind(client, table, key)
        for batch in _batches(rows, _WRITES):
            items = [{**_item(row), key: {kind: _plain(row[key])}} for row in batch]
            _put(client, table, items)
            done += len(batch)
    except (*FAILURES, LookupFailed) as error:
        wrong = JobError if isinstance(error, Throttled) or may_pass(error) else UserError
        raise wrong(f"{spec}: {' '.join(str(error).split())}; {done:,} rows were written") from None
    return done


def _create(client: Any, table: str, key: str, kind: str) -> None:
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):
        client.describe_table(TableName=table)
        return
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=table)


def _put(client: Any, table: str, items: list[dict[str, Any]]) -> None:
    from ecompulse.io.lookups.dynamodb import Unprocessed, patient  # noqa: PLC0415  # an extra

    left: Any = {table: [{"PutRequest": {"Item": item}} for item in items]}
    for attempt in patient("items are left unprocessed: the table is throttled"):
        with attempt:
            left = client.batch_write_item(RequestItems=left).get("UnprocessedItems")
            if left:
                raise Unprocessed


def _item(row: Row) -> dict[str, Any]:
    return {name: _typed(name, value) for name, value in _present(row).items()}


def _typed(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"column {name} holds {value}, which DynamoDB cannot")
    return {"N" if isinstance(value, int | float | Decimal) else "S": _plain(value)}


def _present(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _plain(value: Any) -> str:
    """A value as text; times as ISO 8601."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def _batches(rows: pl.DataFrame, size: int) -> Iterator[list[dict[str, Any]]]:
    for part in rows.iter_slices(size):
        yield part.to_dicts()
