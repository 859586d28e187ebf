"""Look-up tables in files: which types their columns become, and values that do not fit those."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from ecompulse.io.lookups import open_lookup
from ecompulse.kernels.event import TIME

FAR_DAY, FAR_MS = 2_932_897, 253_402_300_800_000
"""The first day of the year 10000, as days and as ms since 1970."""


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        (pl.Series([1, 255], dtype=pl.UInt8), pl.Int64(), [1, 255]),
        (pl.Series([1, 2**16 - 1], dtype=pl.UInt16), pl.Int64(), [1, 2**16 - 1]),
        (pl.Series([1, 2**32 - 1], dtype=pl.UInt32), pl.Int64(), [1, 2**32 - 1]),
        (pl.Series([1, 2**64 - 1], dtype=pl.UInt64), pl.Int64(), [1, None]),
        (pl.Series([1, -(2**63) - 1], dtype=pl.Int128), pl.Int64(), [1, None]),
        (pl.Series([1, -128], dtype=pl.Int8), pl.Int8(), [1, -128]),
        (pl.Series([1, -(2**15)], dtype=pl.Int16), pl.Int16(), [1, -(2**15)]),
        (pl.Series([1, 2**31 - 1], dtype=pl.Int32), pl.Int32(), [1, 2**31 - 1]),
        (pl.Series([0.5, float("inf")], dtype=pl.Float16), pl.Float32(), [0.5, None]),
        (pl.Series([0.5, float("nan")], dtype=pl.Float32), pl.Float32(), [0.5, None]),
        (pl.Series([0.5, float("-inf")], dtype=pl.Float64), pl.Float64(), [0.5, None]),
        (pl.Series([Decimal(1), Decimal("0.0000000001")], dtype=pl.Decimal(38, 10)), pl.Decimal(38, 10), None),
        (pl.Series([Decimal(1), Decimal("1.5")], dtype=pl.Decimal(9, 2)), pl.Decimal(9, 2), None),
        (pl.Series(["a", "b"], dtype=pl.Categorical), pl.String(), ["a", "b"]),
        (pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])), pl.String(), ["a", "b"]),
        (pl.Series([None, None], dtype=pl.Null), pl.String(), [None, None]),
        (pl.Series([True, None], dtype=pl.Boolean), pl.Boolean(), [True, None]),
        (pl.Series([0, FAR_DAY], dtype=pl.Int32).cast(pl.Date), pl.Date(), [date(1970, 1, 1), None]),
        (pl.Series([0, FAR_MS]).cast(pl.Datetime("ms")), TIME, [datetime(1970, 1, 1, tzinfo=UTC), None]),
        (
            pl.Series([0, FAR_MS * 1000]).cast(pl.Datetime("us", "Asia/Tokyo")),
            TIME,
            [datetime.fromtimestamp(0, UTC), None],
        ),
        (pl.Series([1, 2**63 - 1]).cast(pl.Datetime("ns")), TIME, None),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pl.Series) else "",
)
def test_a_file_s_types_are_those_that_a_lake_reads_back(tmp_path, column, dtype, expected):
    pl.DataFrame({"id": ["a", "b"], "v": column}).write_parquet(tmp_path / "u.parquet")
    store = open_lookup(f"parquet:{tmp_path}/u.parquet?key=id")
    assert store.columns == pl.Schema({"v": dtype})
    found = store.fetch(pl.Series(["a", "b"])).sort("key")
    expected = column.cast(dtype).to_list() if expected is None else expected
    assert found["v"].to_list() == expected
    lost = [value is None and given for value, given in zip(expected, column.is_not_null(), strict=True)]
    assert found["status"].to_list() == ["malformed" if each else "ok" for each in lost]
    found.write_delta(tmp_path / "lake")
    again = pl.read_delta(str(tmp_path / "lake")).sort("key")
    assert again["v"].cast(dtype).to_list() == expected
    assert again.schema["v"] == (pl.Datetime("us", "UTC") if dtype == TIME else dtype)


def test_whole_numbers_of_a_jsonl_file_may_be_too_large(tmp_path):
    (tmp_path / "u.jsonl").write_text('{"id": "a", "v": 18446744073709551616}\n{"id": "b", "v": 7}\n')
    found = open_lookup(f"jsonl:{tmp_path}/u.jsonl?key=id").fetch(pl.Series(["a", "b"])).sort("key")
    assert found.rows() == [("a", None, "malformed"), ("b", 7, "ok")]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1]).cast(pl.Time),
        pl.Series([1]).cast(pl.Duration("ms")),
        pl.Series([b"a"]),
        pl.Series([[1]]),
        pl.Series([{"a": 1}]),
    ],
    ids=lambda column: str(column.dtype.base_type()),
)
def test_a_type_that_a_lake_has_not_is_refused(tmp_path, column):
    pl.DataFrame({"id": ["a"], "v": column}).write_parquet(tmp_path / "u.parquet")
    with pytest.raises(ValueError, match=r"column v is .*; choose others with columns=a,b"):
        open_lookup(f"parquet:{tmp_path}/u.parquet?key=id")
    store = open_lookup(f"parquet:{tmp_path}/u.parquet?key=id&columns=id")
    assert store.fetch(pl.Series(["a"])).rows() == [("a", "ok")]
