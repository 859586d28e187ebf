"""Stolen cards and accounts: the shop's own customers', used from elsewhere, each payment labelled."""

import polars as pl
import pytest

from ecompulse.simulator.frauds import StolenCards
from ecompulse.simulator.settings import HOUR_MS, Settings, instant
from ecompulse.simulator.shop import simulate

START = instant(Settings().start)


@pytest.mark.parametrize("takeover", [False, True])
def test_cards_of_customers_are_used_from_devices_of_thieves(takeover) -> None:
    episode = StolenCards(18 * HOUR_MS, cards=4, payments=3, takeover=takeover)
    chunks = list(simulate(Settings(seed=4, events=6_000, episodes=(episode,))).chunks())
    labels = pl.concat([chunk.labels for chunk in chunks])
    rows = pl.concat([chunk.rows for chunk in chunks]).filter(pl.col("flaw") == 0)
    stolen = rows.filter(pl.col("payment_id").is_in(labels["transaction_id"].implode()))
    rightful = rows.join(stolen, on="payment_id", how="anti", nulls_equal=True)
    assert stolen.height == labels.height == 12
    assert stolen["card_id"].n_unique() == stolen["device_id"].n_unique() == 4
    assert stolen["card_id"].is_in(rightful["card_id"].drop_nulls().implode()).all()
    assert not stolen["device_id"].is_in(rightful["device_id"].drop_nulls().implode()).any()
    assert stolen["user_id"].is_not_null().all() == takeover
    times = stolen["event_time"] - START
    assert times.is_between(18 * HOUR_MS, 19 * HOUR_MS).all()
    assert (labels["label_time"] > labels["since"]).all()
    assert set(labels["episode"]) == {"account_takeover" if takeover else "stolen_cards"}
