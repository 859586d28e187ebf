import polars as pl

from ecompulse.simulator.settings import HOUR_MS, Settings, instant

START = instant(Settings().start)


def good_rows(chunks) -> pl.DataFrame:
    return pl.concat([chunk.rows for chunk in chunks]).filter(pl.col("flaw") == 0)


def test_all_payments_fail_while_the_outage_lasts_and_not_otherwise(befallen) -> None:
    since, until = START + 18 * HOUR_MS, START + 20 * HOUR_MS
    payments = good_rows(befallen).filter(pl.col("event_type") == "payment", pl.col("amount") > 500)
    within = pl.col("event_time").is_between(since, until, closed="left")
    struck, spared = payments.filter(within), payments.filter(~within)
    assert struck.height > 10
    assert (struck["payment_status"] == "failed").all()
    assert (spared["payment_status"] == "failed").mean() < 0.3


def test_nothing_is_refunded_that_was_not_paid(befallen) -> None:
    rows = good_rows(befallen)
    paid = rows.filter(pl.col("payment_status").is_in(["authorized", "captured"]))["order_id"]
    refunds = rows.filter(pl.col("event_type") == "refund")
    assert refunds["order_id"].is_in(paid.implode()).all()
    assert not refunds.is_empty()


def test_the_outage_has_one_label(befallen) -> None:
    labels = pl.concat([chunk.labels for chunk in befallen]).filter(kind="kpi")
    assert labels.select("episode", "since", "until").rows() == [
        ("checkout_outage", START + 18 * HOUR_MS, START + 20 * HOUR_MS)
    ]


def test_card_testing_is_many_cards_from_one_address_each_labelled(befallen) -> None:
    labels = pl.concat([chunk.labels for chunk in befallen]).filter(kind="fraud")
    rows = good_rows(befallen)
    tried = rows.filter(pl.col("payment_id").is_in(labels["transaction_id"].implode()))
    assert tried.height == labels.height == labels["transaction_id"].n_unique() == 120
    assert tried["ip"].n_unique() == tried["anonymous_id"].n_unique() == 1
    assert tried["card_id"].n_unique() == 120
    assert tried["amount"].max() < 500
    assert tried["event_id"].n_unique() == 120
    known = labels.join(tried.select("event_time", transaction_id="payment_id"), on="transaction_id")
    assert (known["label_time"] > known["event_time"]).all()
    assert set(labels["source"]) == {"chargeback", "review"}
