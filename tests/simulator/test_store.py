import json
from collections import defaultdict
from datetime import date

import polars as pl
import pytest

from ecompulse.simulator.settings import SettingsError, instant
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write


def json_of(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_with_events_is_not_written_into_again(written, settings) -> None:
    with pytest.raises(SettingsError, match="events is not empty: remove it"):
        write(simulate(settings), written[0])


def test_event_files_are_in_order_of_time_by_name(written, settings) -> None:
    names = [file.name for file in sorted((written[0] / "events").iterdir())]
    assert len(names) == len(settings.slices()) == 4
    assert names[:2] == ["events-20250901T000000000Z.jsonl", "events-20250901T060000000Z.jsonl"]


@pytest.mark.parametrize(("name", "key"), [("users", "user_id"), ("products", "product_id")])
def test_side_tables_agree_in_both_formats(written, name, key) -> None:
    table = pl.read_parquet(written[0] / f"{name}.parquet")
    rows = json_of(written[0] / f"{name}.jsonl")
    assert table[key].to_list() == [row[key] for row in rows]
    assert table[key].n_unique() == table.height
    assert set(table.columns) == set(rows[0])


def test_product_money_is_decimal_and_positive(written) -> None:
    table = pl.read_parquet(written[0] / "products.parquet")
    assert table.schema["price"] == pl.Decimal(18, 4)
    assert table.filter((pl.col("cost") <= 0) | (pl.col("price") <= pl.col("cost"))).is_empty()
    assert isinstance(json_of(written[0] / "products.jsonl")[0]["price"], float)


def test_events_carry_the_price_in_force(written, good) -> None:
    versions = defaultdict(list)
    for row in json_of(written[0] / "products.jsonl"):
        versions[row["product_id"]].append((0, row["price"]))
    for row in json_of(written[0] / "product_updates.jsonl"):
        versions[row["product_id"]].append((instant(row["updated_at"]), row["price"]))
    changed = 0
    for event in good:
        if event["event_type"] in {"purchase", "add_to_cart"} and event["currency"] == "EUR":
            known = [entry for entry in versions[event["product_id"]] if entry[0] <= instant(event["event_time"])]
            assert event["price"] == max(known)[1]
            changed += len(known) > 1
    assert changed > 0


def test_updates_are_in_order_and_know_every_sign_up(written, good) -> None:
    updates = json_of(written[0] / "user_updates.jsonl")
    times = [update["updated_at"] for update in updates]
    assert times == sorted(times)
    signups = {(e["user_id"], instant(e["event_time"])) for e in good if e["event_type"] == "signup"}
    told = {(u["user_id"], instant(u["signup_time"])) for u in updates if u["signup_time"] == u["updated_at"]}
    assert told == signups
    known = set(pl.read_parquet(written[0] / "users.parquet")["user_id"])
    assert not known & {user for user, _ in signups}
    assert {event["user_id"] for event in good if "user_id" in event} <= known | {user for user, _ in signups}


def test_rates_cover_the_days_but_weekends(written, good) -> None:
    rates = pl.read_csv(written[0] / "rates.csv", try_parse_dates=True)
    assert rates["date"].min() < date(2025, 9, 1) < rates["date"].max()
    assert rates.filter(pl.col("date").dt.weekday() > 5).is_empty()
    assert {event["currency"] for event in good if "currency" in event} <= set(rates["currency"])
    assert set(rates.filter(currency="EUR")["rate"]) == {1.0}
    assert rates.filter(currency="USD")["rate"].n_unique() > 1
