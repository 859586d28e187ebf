"""Each shipped mapping over a fixture after its public schema, with totals worked out by hand from the lines."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from ecompulse.io.files.source import FileSource
from ecompulse.kernels.decode import decode
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.mapping import load_mapping, shipped_mappings
from support.marks import nightly
from support.process import Shop

FIXTURES = Path(__file__).parent / "fixtures"
NOW = 1_750_000_000_000


@dataclass(frozen=True)
class Totals:
    """What a fixture holds; `sold` is price by quantity of purchases, whatever their currencies."""

    rows: int
    events: int
    dead: int
    skipped: int
    sold: str
    paid: str
    refunded: str
    orders: int
    sessions: int


WANTED = {
    # 20 + 2 x 5.25, and 9 dollars; A is u-7 from the purchase on; B comes again after 49 minutes.
    "ga4.jsonl": Totals(11, 14, 1, 0, "39.5", "42.5", "9", 2, 4),
    # 2 x 18.99 + 3, and 7.5; an-1 is u1 once identified; u1 comes back for the refund.
    "segment.jsonl": Totals(10, 12, 1, 0, "48.48", "51.48", "43.98", 2, 4),
    # 20 + 5.5 + 10 + 3 x 1.25; of five transactions two gave money back; 501 buys twice in ten minutes.
    "shopify_orders.json": Totals(5, 9, 1, 1, "39.25", "51.95", "15.5", 3, 4),
    # 2 x 15 + 2.50; 29.99 euros, 500 yen, 12.34 that failed, 0.125; 9.99, and 1.5 dinars of three decimals.
    "stripe_events.jsonl": Totals(11, 9, 0, 3, "32.5", "542.455", "11.49", 5, 4),
    # 20 + 9.5 + 4; an order that failed sold nothing.
    "woocommerce.json": Totals(6, 8, 1, 1, "33.5", "141.5", "12.5", 4, 5),
    "matomo.json": Totals(3, 9, 1, 0, "25", "27", "0", 1, 2),
    # 9.90 + 2 x 9.90 + 100; the change and the deletion are events of other types.
    "debezium.jsonl": Totals(7, 5, 1, 1, "129.7", "0", "0", 3, 2),
    "olist.csv": Totals(6, 5, 1, 0, "556.7", "144.38", "0", 3, 3),
    # 6 x 2.55 + 6 x 3.39 + 32 x 1.69 + 56 x 0 + 2.51.
    "online_retail.csv": Totals(8, 7, 1, 0, "92.23", "0", "0", 4, 6),
    "retailrocket.csv": Totals(7, 6, 1, 0, "0", "0", "0", 1, 3),
    "instacart.csv": Totals(5, 4, 1, 0, "0", "0", "0", 3, 3),
    # 16.50, and of the tracker of e-commerce 2 x 10 + 7.50 with 4 for shipping; the second product comes back.
    "snowplow.tsv": Totals(11, 12, 1, 0, "44", "48", "7.5", 2, 1),
    "snowplow.jsonl": Totals(11, 12, 1, 0, "44", "48", "7.5", 2, 1),
}
BEFORE = {"completejourney", "fraud_handbook", "rees46"}
ELSEWHERE = {"cloudevents"}


def mapping_of(name):
    return load_mapping(name.partition(".")[0])


def decoded(name):
    mapping = mapping_of(name)
    source = FileSource(str(FIXTURES / name), 0, dialect=mapping.format)
    [split] = source.plan({}, 1000, {}, whole=True).splits
    [rows] = source.reader().read(split)
    return rows.height, decode(rows, NOW, mapping)


def sessions(events):
    """Visits with gaps of at most half an hour, one event after the other; a device is its user's once it has one."""
    users, last, count = dict[str, str](), dict[str, datetime](), 0
    for moment, user, device in events.sort("event_time").select("event_time", "user_id", "anonymous_id").iter_rows():
        if user and device:
            users[device] = user
        visitor = users.get(device) or user or device
        count += visitor not in last or moment - last[visitor] > timedelta(minutes=30)
        last[visitor] = moment
    return count


def totals_of(rows, found):
    events = found.events
    bought = events.filter(pl.col("event_type") == "purchase")
    sold = sum(
        (price * quantity for price, quantity in bought.select("price", "quantity").drop_nulls().iter_rows()),
        Decimal(0),
    )
    money = {kind: events.filter(pl.col("event_type") == kind)["amount"].sum() for kind in ("payment", "refund")}
    orders = events.filter(pl.col("event_type").is_in(["purchase", "payment"]))["order_id"].n_unique()
    texts = [f"{total.normalize():f}" for total in (sold, *(Decimal(money[kind] or 0) for kind in money))]
    return Totals(rows, events.height, found.dead.height, found.skipped, *texts, orders, sessions(events))


@pytest.mark.parametrize("name", WANTED)
def test_totals_are_those_of_the_fixture(name):
    rows, found = decoded(name)
    assert totals_of(rows, found) == WANTED[name]
    assert found.events.height - found.further + found.dead.height + found.skipped == rows
    assert found.events.select("source_offset").is_unique().all()


def test_every_shipped_mapping_has_a_fixture():
    assert {name.partition(".")[0] for name in WANTED} == set(shipped_mappings()) - BEFORE - ELSEWHERE


def test_tsv_and_json_of_snowplow_give_the_same_events():
    one, other = (
        decoded(name)[1]  # lines are counted in different lists
        .events.with_columns(pl.col("event_id").str.replace("/.*", ""))
        .drop("properties", "source", "source_offset")
        for name in ("snowplow.tsv", "snowplow.jsonl")
    )
    assert one.equals(other)


@pytest.mark.parametrize("name", ["ga4.jsonl", "segment.jsonl", "stripe_events.jsonl"])
def test_the_same_rows_in_structs_of_parquet_give_the_same_events(tmp_path, name):
    path = tmp_path / "a.parquet"
    pl.read_ndjson(FIXTURES / name, infer_schema_length=None).drop("integrations", strict=False).write_parquet(path)
    source, mapping = FileSource(str(path), 0), mapping_of(name)
    [split] = source.plan({}, 1000, {}, whole=True).splits
    [rows] = source.reader().read(split)
    ours = [
        "event_type",
        "event_time",
        "user_id",
        "product_id",
        "price",
        "quantity",
        "amount",
        "order_id",
        "session_id",
    ]
    found, wanted = decode(rows, NOW, mapping), decoded(name)[1]
    assert found.events.select(ours).equals(wanted.events.select(ours))
    assert found.dead["rule"].equals(wanted.dead["rule"])


def test_days_of_online_retail_are_not_read_now_one_way_now_the_other(tmp_path):
    path = tmp_path / "a.csv"
    lines = ["1,A,1,13/12/2010 08:26,1", "1,A,1,12/13/2010 08:26,1", ""]
    path.write_text("\n".join(["InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice", *lines]))
    mapping = load_mapping("online_retail")
    [split] = FileSource(str(path), 0, dialect=mapping.format).plan({}, 100, {}, whole=True).splits
    [rows] = FileSource(str(path), 0, dialect=mapping.format).reader().read(split)
    found = decode(rows, NOW, mapping)
    assert found.dead["message"].str.starts_with('InvoiceDate: "13/12/2010').to_list() == [True]
    assert found.events["event_time"].dt.date().to_list() == [date(2010, 12, 13)]


CLOUD = {"specversion": "1.0", "type": "payment", "time": "2024-05-01T10:00:00Z"}


def test_ids_of_cloudevents_are_of_their_source_and_data_is_not_taken_for_attributes():
    data = {"user_id": "u", "card_id": "c", "device_id": "d", "merchant_id": "m", "amount": 5}
    headers = {f"ce_{name}": value for name, value in {**CLOUD, "source": "/b", "id": "1"}.items()}
    rows = [
        {**CLOUD, "source": "/a", "id": "1", "data": data},
        {**CLOUD, "source": "/b", "id": "2", "data": data},
        {**data, "id": "of the data", "type": "gift", "time": "soon", "source": "web", "_kafka": {"headers": headers}},
    ]
    place = {"source": "t", "source_partition": 0, "source_offset": [0, 1, 2]}
    raw = pl.DataFrame({"raw": [json.dumps(row).encode() for row in rows], **place}, schema=RAW_SCHEMA)
    found = decode(raw, NOW, load_mapping("cloudevents"))
    assert found.dead["message"].to_list() == []
    assert found.events["event_id"].to_list() == ["/a/1", "/b/2", "/b/1"]
    named = ("event_type", "user_id", "card_id", "device_id", "merchant_id")
    assert found.events.select(named).unique().rows() == [("payment", "u", "c", "d", "m")]
    assert json.loads(found.events["properties"][2])["type"] == "gift"


def test_codes_of_shopify_take_off_lines_and_orders_that_are_void_sell_nothing():
    lines = [
        {
            "id": 1,
            "quantity": 2,
            "price": "50.00",
            "total_discount": "0.00",
            "discount_allocations": [{"amount": "9.50"}],
        },
        {"id": 2, "quantity": 1, "price": "5.00", "total_discount": "1.00", "discount_allocations": []},
    ]
    order = {"created_at": "2024-05-01T10:00:00-04:00", "token": "t", "currency": "USD", "line_items": lines}
    orders = [{**order, "id": "a", "financial_status": "paid"}, {**order, "id": "b", "financial_status": "voided"}]
    place = {"source": "t", "source_partition": 0, "source_offset": [0, 1]}
    rows = pl.DataFrame({"raw": [json.dumps(found).encode() for found in orders], **place}, schema=RAW_SCHEMA)
    events = decode(rows, NOW, load_mapping("shopify_orders")).events
    assert events.select("event_id", "event_type", "discount").rows() == [
        ("a/1", "purchase", Decimal("9.5")),
        ("a/2", "purchase", Decimal(1)),
        ("a", "payment", None),
        ("b", "payment", None),
    ]
    assert json.loads(events["properties"][3])["line_items"] == lines


def test_a_deletion_that_has_its_key_alone_is_of_the_order():
    rows = [
        {"op": "c", "ts_ms": 1_714_557_600_000, "before": None, "after": {"order_number": 7, "purchaser": 3}},
        {"op": "d", "ts_ms": 1_714_557_700_000, "before": {"order_number": 7}, "after": None},
    ]
    place = {"source": "t", "source_partition": 0, "source_offset": [0, 1]}
    raw = pl.DataFrame({"raw": [json.dumps(row).encode() for row in rows], **place}, schema=RAW_SCHEMA)
    found = decode(raw, NOW, load_mapping("debezium")).events
    assert found.select("event_type", "user_id", "anonymous_id", "order_id").rows() == [
        ("purchase", "3", "7", "7"),
        ("order_deleted", None, "7", "7"),
    ]


def test_a_line_of_stripe_costs_what_it_says_whatever_its_unit_does():
    product = {"price_details": {"product": "p"}, "type": "price_details", "unit_amount_decimal": "1000"}
    lines = [
        {"amount": 3000, "quantity": 3, "pricing": product, "discount_amounts": [{"amount": 300}]},
        {
            "amount": -484,
            "quantity": 1,
            "pricing": product,
            "parent": {"subscription_item_details": {"proration": True}},
        },
        {"amount": 250, "quantity": 500, "price": {"product": "p", "unit_amount": None, "unit_amount_decimal": "0.5"}},
    ]
    invoice = {"id": "in_1", "customer": "c", "currency": "eur", "lines": {"data": lines}}
    event = {"id": "e", "type": "invoice.paid", "created": 1_714_557_900, "data": {"object": invoice}}
    place = {"source": "t", "source_partition": 0, "source_offset": [0]}
    rows = pl.DataFrame({"raw": [json.dumps(event).encode()], **place}, schema=RAW_SCHEMA)
    found = decode(rows, NOW, load_mapping("stripe_events")).events
    value = pl.col("price") * pl.col("quantity") - pl.col("discount").fill_null(0)
    assert found.select(value).to_series().cast(pl.Float64).to_list() == [27.0, -4.84, 2.5]


@pytest.mark.slow
@pytest.mark.parametrize("name", nightly(list(WANTED), ["ga4.jsonl"]))
def test_the_job_of_sessions_finds_as_many(tmp_path, name):
    wanted = WANTED[name]
    mapping = name.partition(".")[0]
    flags = (f"--mapping={mapping}", "--num_shards=2", "--progress=none", "--max_dead_ratio=1", "--bots=include")
    shop = Shop(tmp_path / "shop", FIXTURES / name, flags, job="session_analytics")
    assert shop.run_here("--drain")[0] == 0
    tables = shop.tables()
    assert tables["lake sessions"].height == wanted.sessions
    assert tables["lake session_events"].height == wanted.events


def test_orders_of_webhooks_are_rows_without_a_document(tmp_path):
    orders = json.loads((FIXTURES / "shopify_orders.json").read_text())["orders"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(order) + "\n" for order in orders))
    mapping = mapping_of("shopify_orders")
    [split] = FileSource(str(path), 0, dialect=mapping.format).plan({}, 1000, {}, whole=False).splits
    [rows] = FileSource(str(path), 0, dialect=mapping.format).reader().read(split)
    assert decode(rows, NOW, mapping).events["event_id"].equals(decoded("shopify_orders.json")[1].events["event_id"])
