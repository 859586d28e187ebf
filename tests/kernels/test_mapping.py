"""Mappings: foreign rows become events; a wrong key is one line."""

import gzip
import hashlib
import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.decode import decode_columns, decode_csv, decode_json
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.mapping import load_mapping, parse_mapping, shipped_mappings

pytestmark = pytest.mark.usefixtures("few")

NOW = 1_700_000_000_000
ONE_OF_THEM = "already; leave one of them out"
NO_FORMAT = "does not read a date (chrono's %Y %m %d %H %M %S %.f %z ...)"
NO_PATTERN = "is no regular expression"
A_PATH = "the field has a path already; leave one of them out"
OF_LINES = "is of a line, and this is asked of rows; see `where`"
NO_CONDITION = "is of the lines of what is exploded, and holds paths and values"
NO_KEY = "null is no key; put it in quotes if it is a text"
NO_LINE = "is no line of what is exploded"
DATA = Path(__file__).parents[3] / "shared" / "data"
REES46 = DATA / "rees46_2019-10-01_part1.csv.gz"
FRAUD = DATA / "fraud_transactions_2018-04-01_2018-07-10.parquet"


def frame(rows: list[bytes]) -> pl.DataFrame:
    columns = {"raw": rows, "source": "t", "source_partition": 0, "source_offset": range(len(rows))}
    return pl.DataFrame(columns, schema=RAW_SCHEMA)


def first(mapping: str, **row: object) -> dict[str, object]:
    decoded = decode_json(frame([json.dumps(row).encode()]), NOW, parse_mapping(mapping))
    assert decoded.dead.is_empty(), decoded.dead["message"][0]
    return decoded.events.row(0, named=True)


def test_an_empty_currency_is_none():
    row = {"event_id": "e", "event_type": "search", "event_time": NOW, "user_id": "u", "currency": ""}
    assert first("default_currency: EUR", **row)["currency"] == "EUR"
    assert first("{}", **row)["currency"] is None


def test_what_is_on_or_off_may_be_said_as_yaml_has_it():
    mapping = parse_mapping('{lenient: no, format: {header: off, columns: [a]}, event_types: {"no": search}}')
    assert (mapping.lenient, mapping.format.header, mapping.event_types) == (False, False, {"no": "search"})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "fields: {price: {from: a, map: {no: 1}}}",
            "m.yaml: line 1, column 33: YAML reads no as false; put it in quotes, or write false",
        ),
        (
            "events: [{when: {code: 010}}]",
            "m.yaml: line 1, column 24: YAML reads 010 as 8; put it in quotes, or write 8",
        ),
        (
            "skip: [{version: 1.10}]",
            "m.yaml: line 1, column 18: YAML reads 1.10 as 1.1; put it in quotes, or write 1.1",
        ),
        (
            "events: [{when: {at: 12:30}}]",
            "m.yaml: line 1, column 22: YAML reads 12:30 as 750; put it in quotes, or write 750",
        ),
        ("fields: {price: {from: a, map: {NULL: '0'}}}", f"m.yaml: fields.price.map: {NO_KEY}"),
        ("events: [{when: {~: a}}]", f"m.yaml: events[0].when: {NO_KEY}"),
        (
            "skip: [{day: 2024-02-30}]",
            "m.yaml: what looks like a date is none (day is out of range for month); put it in quotes",
        ),
        (f"skip: {'[' * 5000}", "m.yaml: is nested too deeply"),
        ("feilds: {}", "m.yaml: feilds: unknown key, did you mean fields?"),
        ("fields: {pric: amt}", "m.yaml: fields.pric: no field of the event, did you mean price?"),
        ("fields: {price: 3}", "m.yaml: fields.price: 3 is no path, list of paths, or mapping with `from`"),
        ("fields: {price: {from: a, mapp: {}}}", "m.yaml: fields.price.mapp: unknown key, did you mean map?"),
        ("fields: {price: {from: a, match: '('}}", f"m.yaml: fields.price.match: {NO_PATTERN}: unclosed group"),
        ("numbers: {thousands: '.'}", "m.yaml: numbers.thousands: is the decimal sign, too"),
        ("events: [{fields: {pric: b}}]", "m.yaml: events[0].fields.pric: no field of the event, did you mean price?"),
        ("events: [{fields: {price: a}, constants: {price: b}}]", f"m.yaml: events[0].constants.price: {A_PATH}"),
        ("events: [{fields: {price: a}}]\ndrop: [a]", "m.yaml: events[0].drop: column 'a' feeds price"),
        ("events: [{when: {'a[].b': 1}}]", f"m.yaml: events[0].when: 'a[].b' {OF_LINES}"),
        ("skip: [{'a[].b': 1}]", f"m.yaml: skip[0]: 'a[].b' {OF_LINES}"),
        ("events: [{where: {a: 1}}]", f"m.yaml: events[0].where: {NO_CONDITION}"),
        ("events: [{when: 3}]", "m.yaml: events[0].when: 3 is no mapping of paths to values, nor `otherwise`"),
        ("events: [{explode: 'a[]', fields: {price: 'b[].c'}}]", f"m.yaml: events[0].fields.price: 'b[].c' {NO_LINE}"),
        ("format: {delimitr: ;}", "m.yaml: format.delimitr: unknown key, did you mean delimiter?"),
        ("fields: {price: a}\ndrop: [a]", "m.yaml: drop: column 'a' feeds price"),
        ("fields: {price: a}\nconstants: {price: x}", f"m.yaml: constants.price: the field has a column {ONE_OF_THEM}"),
        (
            "fields: {properties: [a, b]}",
            "m.yaml: fields.properties: is an object, which is taken as it is; name one path",
        ),
        ("constants: {properties: x}", "m.yaml: constants.properties: an object is no constant"),
        ("minor_digits: {brand: 2}", "m.yaml: minor_digits.brand: not a field of money"),
        (
            "minor_digits: {price: currency}\ncurrency_digits: {ISK: 5}",
            "m.yaml: currency_digits.ISK: must be 0 to 4, not 5",
        ),
        (
            "minor_digits: {price: currency}\ncurrency_digits: {isk: 2}",
            "m.yaml: currency_digits.isk: is no code such as EUR",
        ),
        (
            "currency_digits: {ISK: 2}",
            "m.yaml: currency_digits: is of fields whose minor_digits are 'currency'; there are none",
        ),
        ("minor_digits: {price: 5}", "m.yaml: minor_digits.price: must be 0 to 4, not 5"),
        ("default_currency: euro", "m.yaml: default_currency: 'euro' is no code such as EUR"),
        ("event_id: hsh", "m.yaml: event_id: 'hsh' is not one of given, hash, did you mean hash?"),
        ("time: {zone: Mars}", "m.yaml: time.zone: 'Mars' is no zone such as UTC or Europe/Paris"),
        ("time: {format: '%Y-%m-%d'}", "m.yaml: time.zone: required, since the format reads no zone (%z)"),
        ("time: {format: '%Y-%m-%d %z', zone: UTC}", f"m.yaml: time.zone: the format reads a zone {ONE_OF_THEM}"),
        ("time: {format: '%Q', zone: UTC}", f"m.yaml: time.format: '%Q' {NO_FORMAT}"),
        ("time: {format: '', zone: UTC}", f"m.yaml: time.format: '' {NO_FORMAT}"),
        ("time: {unit: m}", "m.yaml: time.unit: 'm' is not one of s, ms, us, ns, auto, did you mean ms?"),
        ("- a", "m.yaml: expected a mapping, found a list"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_one_line_with_its_path(text, line):
    with pytest.raises(ConfigError) as error:
        parse_mapping(text, "m.yaml")
    assert str(error.value) == line


def test_a_name_that_is_neither_shipped_nor_a_file(tmp_path):
    with pytest.raises(ConfigError, match=r"'ress46' is neither shipped nor readable .*did you mean rees46\?"):
        load_mapping("ress46")
    path = tmp_path / "own.yaml"
    path.write_text("fields: {brand: maker}", "utf-8")
    assert load_mapping(str(path)).sources()["maker"] == "brand"


def test_shipped_mappings_load_and_pickle_small():
    assert "rees46" in shipped_mappings()
    for name in shipped_mappings():
        pickled = pickle.dumps(load_mapping(name))
        assert pickle.loads(pickled) == load_mapping(name)  # noqa: S301  # our own bytes
        assert len(pickled) < 16_000


def test_every_setting_at_once():
    mapping = """
    fields: {event_type: action, event_time: ts, price: cents, brand: category}
    constants: {merchant_id: m1}
    event_types: {buy: purchase}
    time: {unit: s}
    default_currency: SEK
    event_id: hash
    minor_digits: {price: 2}
    drop: [secret]
    """
    event = first(
        mapping,
        action="buy",
        ts=1_690_000_000.25,
        user_id=7,
        cents="1999",
        category="acme",
        secret=1,
        url="u",
        brand="x",
    )
    assert event["event_type"] == "purchase"
    assert event["event_time"] == datetime(2023, 7, 22, 4, 26, 40, 250_000, UTC)
    assert (event["user_id"], event["price"], event["currency"]) == ("7", Decimal("19.9900"), "SEK")
    assert (event["brand"], event["category"], event["url"], event["merchant_id"]) == ("acme", None, "u", "m1")
    assert event["properties"] == '{"brand":"x"}'
    assert len(str(event["event_id"])) == 32


@pytest.mark.parametrize(
    ("time", "value", "expected"),
    [
        ("{zone: Europe/Paris}", "2023-07-01T12:00:00", datetime(2023, 7, 1, 10, tzinfo=UTC)),
        ("{zone: Europe/Paris}", "2023-07-01T12:00:00Z", datetime(2023, 7, 1, 12, tzinfo=UTC)),
        ("{zone: Europe/Paris}", "2022-10-30 02:30", datetime(2022, 10, 30, 0, 30, tzinfo=UTC)),
        ("{zone: Europe/Paris}", "2023-03-26T02:30:00", None),
        ("{format: '%d/%m/%Y %H:%M:%S', zone: Asia/Tokyo}", "01/07/2023 12:00:00", datetime(2023, 7, 1, 3, tzinfo=UTC)),
        ("{format: '%d.%m.%Y %H:%M:%S %z'}", "01.07.2023 12:00:00 +0200", datetime(2023, 7, 1, 10, tzinfo=UTC)),
        ("{format: '%d.%m.%Y %H:%M:%S %z'}", "2023-07-01T12:00:00Z", None),
        ("{unit: s}", 1_690_000_000, datetime(2023, 7, 22, 4, 26, 40, tzinfo=UTC)),
        ("{unit: s}", 1_690_000_000.9996, datetime(2023, 7, 22, 4, 26, 40, 999_000, UTC)),
        ("{unit: s}", "1690000000", datetime(2023, 7, 22, 4, 26, 40, tzinfo=UTC)),
        ("{unit: us}", 1_690_000_000_123_999, datetime(2023, 7, 22, 4, 26, 40, 123_000, UTC)),
        ("{unit: ns}", 1_690_000_000_123_999_999, datetime(2023, 7, 22, 4, 26, 40, 123_000, UTC)),
        ("{unit: s}", "soon", None),
    ],
)  # fmt: skip
def test_times_as_foreign_data_writes_them(time, value, expected):
    row = json.dumps({"event_id": "e", "event_type": "t", "user_id": "u", "event_time": value}).encode()
    decoded = decode_json(frame([row]), NOW, parse_mapping(f"time: {time}"))
    if expected is None:
        assert decoded.dead["rule"].to_list() == ["wrong_type"]
    else:
        assert decoded.events["event_time"].to_list() == [expected]


def test_a_constant_that_is_none_makes_every_row_dead_with_a_line():
    row = json.dumps({"event_id": "e", "event_type": "t", "user_id": "u", "event_time": NOW}).encode()
    decoded = decode_json(frame([row]), NOW, parse_mapping("constants: {price: free}"))
    assert decoded.dead["message"].to_list() == ['price: "free" is not a number']
    at = decode_json(frame([row]), NOW, parse_mapping("constants: {event_time: '2023-01-01T00:00:00Z', price: '5'}"))
    assert at.events.select("event_time", "price").row(0) == (datetime(2023, 1, 1, tzinfo=UTC), Decimal(5))


def test_constants_are_mapped_and_hashed_around_as_columns_are():
    mapping = "constants: {event_type: buy, event_id: x}\nevent_types: {buy: purchase}\nevent_id: hash"
    for screened_or_exact in (1_672_531_200_000, 1.6725312e12):
        event = first(mapping, event_time=screened_or_exact, user_id="u", tax=screened_or_exact)
        assert (event["event_type"], event["event_id"]) == ("purchase", "x")


def test_a_hashed_id_is_that_of_the_bytes_whether_screened_or_exact():
    begin = b'{"event_type":"t","event_time":1672531200000,"user_id":"u"'
    raw = [begin + end for end in (b"}", b',"tax":1e1}', b"}", b',"event_id":"own"}')]
    ids = decode_json(frame(raw), NOW, parse_mapping("event_id: hash")).events["event_id"]
    assert ids.to_list() == [*(hashlib.sha256(row).hexdigest()[:32] for row in raw[:3]), "own"]
    record, header = b"t,2023-01-01T00:00:00Z,u", "event_type,event_time,user_id"
    ids = decode_csv(frame([record, record]), header, NOW, parse_mapping("event_id: hash")).events["event_id"]
    assert ids.to_list() == [hashlib.sha256(record).hexdigest()[:32]] * 2


@pytest.mark.skipif(not REES46.exists(), reason=f"needs {REES46.name} in ../shared/data")
def test_all_of_rees46_as_csv_columns_and_json():
    with gzip.open(REES46) as file:
        header, *records = file.read().splitlines()
    mapping = load_mapping("rees46")
    rows = frame(records)
    decoded = decode_csv(rows, header.decode(), NOW, mapping)
    assert decoded.events.height + decoded.dead.height == 10_503
    assert decoded.dead.height == 0
    assert decoded.events["event_id"].n_unique() == 10_499  # 4 exact copies
    counts = dict(decoded.events["event_type"].value_counts().rows())
    assert counts == {"product_view": 10_280, "add_to_cart": 101, "purchase": 122}
    assert decoded.events["currency"].unique().to_list() == ["USD"]
    assert set(decoded.events["properties"].str.slice(0, 16)) == {'{"category_id":"'}
    with gzip.open(REES46) as file:
        typed = pl.read_csv(file.read()).with_columns(pl.col("event_time").str.to_datetime("%Y-%m-%d %H:%M:%S UTC"))
    columns = decode_columns(typed.hstack(rows.drop("raw")), NOW, mapping)
    lines = typed.with_columns(pl.col("event_time").dt.strftime("%Y-%m-%d %H:%M:%S UTC")).write_ndjson().splitlines()
    objects = decode_json(frame([line.encode() for line in lines]), NOW, mapping)
    own = ["event_id", "properties"]  # the row's bytes, and category_id's type, are the form's own
    for other in (columns, objects):
        assert other.dead.is_empty()
        assert other.events.drop(own).equals(decoded.events.drop(own))
        assert other.events["event_id"].n_unique() == 10_499


@pytest.mark.skipif(not FRAUD.exists(), reason=f"needs {FRAUD.name} in ../shared/data")
def test_card_transactions_in_parquet_with_a_mapping_of_ten_lines():
    mapping = parse_mapping("""
    fields:
      event_id: transaction_id
      event_time: tx_datetime
      user_id: customer_id
      merchant_id: terminal_id
      amount: tx_amount
    constants: {event_type: payment}
    time: {zone: UTC}
    """)
    rows = pl.read_parquet(FRAUD, n_rows=5_000)
    position = frame([b""] * rows.height).drop("raw")
    decoded = decode_columns(rows.hstack(position), NOW, mapping)
    assert decoded.dead.is_empty()
    assert decoded.events["amount"].cast(pl.Float64).equals(rows["tx_amount"].alias("amount"))
    assert (
        decoded.events["event_time"]
        .dt.replace_time_zone(None)
        .equals(rows["tx_datetime"].dt.cast_time_unit("ms").alias("event_time"))
    )
