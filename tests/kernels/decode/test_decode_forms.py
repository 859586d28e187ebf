"""CSV records and typed columns: the same events, the same dead letters."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Form, Rule, decode, decode_columns, decode_csv, decode_json
from ecompulse.kernels.decode.csv_rows import column_names
from ecompulse.kernels.event import FRAME_SCHEMA, KEPT_ROW_BYTES, RAW_SCHEMA
from ecompulse.kernels.mapping import parse_mapping

NOW = 1_700_000_000_000
HEADER = "event_id,event_type,event_time,user_id,price,properties,color"
TIME = "2023-11-14T22:00:00Z"


def frame(rows: list[bytes]) -> pl.DataFrame:
    columns = {"raw": rows, "source": "f", "source_partition": 0, "source_offset": range(len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def typed(**columns: object) -> pl.DataFrame:
    base = pl.DataFrame({"event_id": ["a", "b"], "event_type": "purchase", "event_time": TIME, "user_id": [7, 8]})
    return base.with_columns(
        **columns, source=pl.lit("f"), source_partition=pl.lit(0), source_offset=pl.int_range(pl.len())
    )


@pytest.mark.parametrize(
    ("record", "price", "properties"),
    [
        (f"e,purchase,{TIME},u,10.50,,", "10.5", None),
        (f"e,purchase,{TIME},u,,,red", None, '{"color":"red"}'),
        (f'e,purchase,{TIME},u,"1.5","{{""b"":1, ""a"":2}}",', "1.5", '{"a":2,"b":1}'),
        (f'e,purchase,{TIME},u,2,,"say ""hi"", you"', "2", '{"color":"say \\"hi\\", you"}'),
        (f'e,purchase,{TIME},u,1e2,,"two\nlines"', "100", '{"color":"two\\nlines"}'),
        (f'"e",purchase,"{TIME}",u,+5,,\r\n', "5", None),
        (f'e,purchase,{TIME},u, 5 ,,5" wide', "5", '{"color":"5\\" wide"}'),
        (f'e,purchase,{TIME},u,5,{{"x":1e400000}},', Rule.OUT_OF_RANGE, None),
        (f'e,purchase,{TIME},u,5,{{"a":1,', Rule.WRONG_TYPE, None),
        (f"e,purchase,{TIME},u,5,[1],", Rule.WRONG_TYPE, None),
        (f"e,purchase,{TIME},u,NaN,,", Rule.NOT_FINITE, None),
        (f"e,purchase,{TIME},u,ten,,", Rule.WRONG_TYPE, None),
        (f"e,purchase,{TIME},u,5,", Rule.BROKEN_CSV, None),
        (f"e,purchase,{TIME},u,5,,,", Rule.BROKEN_CSV, None),
        (f'e,purchase,{TIME},u,5,,"open', Rule.BROKEN_CSV, None),
        (f'e,purchase,{TIME},u,5,,"a"b', Rule.BROKEN_CSV, None),
        (f"e,purchase,{TIME},u,5\n,,", Rule.BROKEN_CSV, None),
        ("", Rule.BROKEN_CSV, None),
        (f'"",purchase,{TIME},u,5,,', Rule.MISSING_REQUIRED, None),
        (f'e,purchase,{TIME},u,5,,"{"x" * 140_000}"', Rule.FIELD_TOO_LARGE, None),
        (f"e,purchase,{TIME},u,5,,{'x' * 2**20}", Rule.ROW_TOO_LARGE, None),
    ],
)  # fmt: skip
def test_a_csv_record_among_others(record, price, properties):
    plain, quoted = (f"{a},purchase,{TIME},u,1,,".encode() for a in ("first", '"last"'))
    decoded = decode_csv(frame([plain, record.encode(), quoted]), HEADER, NOW)
    assert decoded.events.schema == FRAME_SCHEMA
    if isinstance(price, Rule):
        kept = record.encode()[: KEPT_ROW_BYTES if price == Rule.ROW_TOO_LARGE else None]
        assert decoded.dead.select("raw", "source_offset", "rule").rows() == [(kept, 1, price)]
        assert decoded.events["event_id"].to_list() == ["first", "last"]
    else:
        assert decoded.events["event_id"].to_list() == ["first", "e", "last"]
        event = decoded.events.row(1, named=True)
        assert event["price"] == (None if price is None else Decimal(price))
        assert event["properties"] == properties


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a,b,a", ["a", "b", "a_2"]),
        ("a,a,a_2,a", ["a", "a_3", "a_2", "a_4"]),
        ("", ["column_1"]),
        (",x,", ["column_1", "x", "column_3"]),
        ("column_2,,", ["column_2", "column_2_2", "column_3"]),
        ('"a', ["a"]),
        ('a,5" disk,"b"x', ["a", '5" disk', "bx"]),
        ("x" * 200_000 + ",y", ["x" * 200_000, "y"]),
    ],
)
def test_a_header_of_any_kind_names_columns(header, names):
    assert column_names(header) == names


@given(st.lists(st.sampled_from(["", "a", "a_2", "a_3", "column_1", "column_2"]), min_size=1, max_size=6))
def test_names_are_distinct_and_those_that_stand_alone_are_kept(given_names):
    names = column_names(",".join(given_names))
    assert len(set(names)) == len(names) == len(given_names)
    for name, given_name in zip(names, given_names, strict=True):
        assert name == given_name or not given_name or given_names.count(given_name) > 1


def test_cells_of_columns_with_odd_names_are_kept():
    record = f"e,search,{TIME},u,one,two,three".encode()
    [properties] = decode_csv(frame([record]), "event_id,event_type,event_time,user_id,x,,x", NOW).events["properties"]
    assert json.loads(properties) == {"x": "one", "column_6": "two", "x_2": "three"}


def test_a_column_of_one_and_a_header_with_a_mark():
    decoded = decode_csv(frame([b"x", b""]), "\ufeffevent_id", NOW)
    assert decoded.dead["message"].to_list() == ["event_type is missing", "event_id is missing"]


def test_columns_of_every_type():
    rows = typed(
        price=pl.Series([1.5, float("nan")]),
        tax=pl.Series([Decimal("0.12345"), None]),
        quantity=pl.Series([2, None], dtype=pl.Int16),
        brand=pl.Series(["x", None], dtype=pl.Categorical),
        query=pl.Series([b"ok", b"\xff"]),
        properties=pl.Series([{"b": 1, "a": "x"}, None]),
        tags=pl.Series([["p", 'q"'], None]),
        when=pl.lit(datetime(2023, 1, 1)),  # noqa: DTZ001  # a column without a zone
        flag=pl.Series([True, None]),
        blob=pl.Series([{"bytes": b"\x00", "nan": 0.5}, None]),
    )
    decoded = decode(rows, NOW)
    event = decoded.events.row(0, named=True)
    assert (event["user_id"], event["price"], event["quantity"]) == ("7", Decimal("1.5000"), 2)
    assert (event["tax"], event["brand"], event["query"]) == (Decimal("0.1234"), "x", "ok")
    assert json.loads(event["properties"]) == {
        "a": "x", "b": 1, "tags": ["p", 'q"'], "when": "2023-01-01T00:00:00.000", "flag": True,
        "blob": {"bytes": "\x00", "nan": 0.5},
    }  # fmt: skip
    assert decoded.dead["rule"].to_list() == ["invalid_utf8"]
    raw = json.loads(decoded.dead["raw"][0].replace(b"NaN", b'"NaN"'))
    assert raw == {
        "event_id": "b", "event_type": "purchase", "event_time": TIME, "price": "NaN", "user_id": 8,
        "when": "2023-01-01T00:00:00.000",
    }  # fmt: skip


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("column", ["price", "other"])
def test_a_number_of_a_column_that_is_not_finite(column, value):
    decoded = decode_columns(typed(**{column: pl.Series([value, 1.0])}), NOW)
    assert decoded.dead["rule"].to_list() == ["not_finite"]
    assert decoded.events["event_id"].to_list() == ["b"]


def test_times_of_columns():
    moment = datetime(2023, 11, 14, 22, 0, 0, 123_456)  # noqa: DTZ001  # a column without a zone
    naive = typed(event_time=pl.Series([moment, None], dtype=pl.Datetime("ns")))
    assert decode_columns(naive, NOW).dead["rule"].to_list() == ["wrong_type", "missing_required"]
    mapping = parse_mapping("time: {zone: Europe/Paris}")
    at = decode_columns(naive, NOW, mapping).events["event_time"][0]
    assert at == datetime(2023, 11, 14, 21, 0, 0, 123_000, UTC)
    zoned = naive.with_columns(pl.col("event_time").dt.replace_time_zone("Asia/Tokyo"))
    assert decode_columns(zoned, NOW).events["event_time"][0] == datetime(2023, 11, 14, 13, 0, 0, 123_000, UTC)


def test_the_form_is_seen_by_the_columns_unless_said():
    record = frame([f"e,purchase,{TIME},u,,,".encode()])
    assert decode(record.with_columns(header=pl.lit(HEADER)), NOW).events.height == 1
    assert decode(record.clear().with_columns(header=pl.lit(HEADER)), NOW).events.schema == FRAME_SCHEMA
    row = {"event_id": "a", "event_type": "t", "event_time": TIME, "user_id": "u"}
    assert decode(frame([json.dumps(row).encode()]), NOW).events.height == 1
    assert decode(typed(), NOW).events.height == 2
    assert decode(typed().drop("event_id"), NOW, form=Form.COLUMNS).dead.height == 2


def test_a_dead_row_of_columns_decodes_again_once_it_is_mended():
    rows = typed(price=pl.Series(["1", "x"]))
    dead = decode_columns(rows, NOW).dead
    mended = dead.with_columns(raw=pl.lit(dead["raw"][0].replace(b'"x"', b"2"))).select(RAW_SCHEMA.names())
    again = decode_json(mended, NOW, parse_mapping("help: lenient"))
    assert again.events.select("event_id", "user_id", "price", "source_offset").rows() == [("b", "8", Decimal(2), 1)]


@pytest.mark.parametrize("few", [True, False])
def test_a_currency_is_kept_in_capitals(few):
    texts = ["eur", "Eur", "EUR", "€", "euro", ""] * (1 if few else 20)
    rows = [json.dumps({"event_id": "e", "event_type": "x", "event_time": TIME, "user_id": "u", "currency": t}).encode()
            for t in texts]  # fmt: skip
    expected = ["EUR", "EUR", "EUR", "€", "euro", None] * (1 if few else 20)
    assert decode_json(frame(rows), NOW).events["currency"].to_list() == expected
    mapping = parse_mapping("default_currency: usd\nvalues: {currency: [eur, usd]}")
    decoded = decode_json(frame(rows), NOW, mapping)
    assert set(decoded.events["currency"]) == {"EUR"}
    assert decoded.dead.height == len(texts) // 2
    constant = parse_mapping("constants: {currency: gbp}")
    assert set(decode_csv(frame([f"e,x,{TIME},u,1,,".encode()]), HEADER, NOW, constant).events["currency"]) == {"GBP"}


@pytest.mark.parametrize("place", [0, 30])
def test_a_byte_order_mark_within_a_batch_is_text_wherever_it_stands(place):
    records = [f'e{number},"purchase",{TIME},u,,,'.encode() for number in range(60)]
    records[place] = "\ufeff".encode() + records[place]
    found = decode_csv(frame(records), HEADER, NOW).events["event_id"]
    assert found[place] == f"\ufeffe{place}"


FAR = {
    "ms": [2**62, -(2**62), 253_402_300_800_000, -62_135_596_800_001],
    "us": [2**62, -(2**62), 253_402_300_800_000_000, -62_135_596_800_000_001],
}
"""Times beyond the years 1 to 9999."""


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns", "date"])
def test_times_that_nobody_can_write_are_numbers(unit, zone):
    far = [2_932_897, -719_163, 2**31 - 1] if unit == "date" else FAR.get(unit, [])
    near = [253_402_300_799_999, -62_135_596_800_000] if unit == "ms" else []
    dtype = pl.Date() if unit == "date" else pl.Datetime(unit, zone)
    values = pl.Series([*far, *near, 0, None], dtype=pl.Int32 if unit == "date" else pl.Int64).cast(dtype)
    rows = pl.DataFrame({"event_id": [f"e{n}" for n in range(len(values))]}).with_columns(
        event_type=pl.lit("purchase"), event_time=pl.lit(TIME), user_id=pl.lit("u"), plain=values,
        inside=pl.struct(at=values), among=pl.concat_list(pl.struct(at=values)),
        source=pl.lit("f"), source_partition=pl.lit(0), source_offset=pl.int_range(pl.len()),
    )  # fmt: skip
    whole = decode_columns(rows, NOW)
    assert whole.dead.is_empty()
    found = [json.loads(text or "{}") for text in whole.events["properties"]]
    assert [row["plain"] for row in found[: len(far)]] == [str(value) for value in far]
    assert [row["inside"]["at"] for row in found[: len(far)]] == far
    assert [row["among"][0]["at"] for row in found[: len(far)]] == far
    assert found[-2]["plain"].startswith("1970-01-01")
    assert found[-2]["inside"]["at"].startswith("1970-01-01")
    alone = [decode_columns(rows[at], NOW).events["properties"][0] for at in range(rows.height)]
    assert whole.events["properties"].to_list() == alone


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize(("unit", "value"), [("ms", 2**62), ("ms", -(2**62)), ("us", 2**62), ("us", -(2**62))])
def test_an_event_time_that_nobody_can_write_is_a_dead_letter(unit, zone, value):
    now = 1_672_531_200_000 * (1000 if unit == "us" else 1)
    times = pl.Series([value] + [now] * 100).cast(pl.Datetime(unit, zone))
    rows = pl.DataFrame({"event_time": times}).with_columns(
        event_id=pl.lit("e"), event_type=pl.lit("purchase"), user_id=pl.lit("u"),
        source=pl.lit("f"), source_partition=pl.lit(0), source_offset=pl.int_range(pl.len()),
    )  # fmt: skip
    decoded = decode_columns(rows, NOW, parse_mapping("time: {zone: UTC}"))
    assert decoded.dead["source_offset"].to_list() == [0]
    assert decoded.dead["rule"][0] == (Rule.EVENT_TIME_IN_FUTURE if value > 0 else Rule.WRONG_TYPE)
