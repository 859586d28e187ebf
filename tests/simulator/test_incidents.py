import polars as pl
import pytest

from ecompulse.simulator.incidents import PriceError, SearchOutage, TrafficCollapse
from ecompulse.simulator.settings import HOUR_MS, Settings, instant
from ecompulse.simulator.shop import simulate

START = instant(Settings().start)
NOON, EVENING, NIGHT = (START + hour * HOUR_MS for hour in (12, 16, 20))
EPISODES = (
    TrafficCollapse(12 * HOUR_MS, 2 * HOUR_MS, share=0.9),
    PriceError(16 * HOUR_MS, 2 * HOUR_MS, factor=10.0),
    SearchOutage(20 * HOUR_MS, 2 * HOUR_MS),
)


def made(episodes=()):
    chunks = list(simulate(Settings(seed=5, events=20_000, bots=0.0, broken=0.0, episodes=episodes)).chunks())
    rows = pl.concat([chunk.rows for chunk in chunks]).filter(pl.col("flaw") == 0)
    return rows, pl.concat([chunk.labels for chunk in chunks])


@pytest.fixture(scope="module")
def befallen():
    return made(EPISODES)


@pytest.fixture(scope="module")
def spared():
    return made()[0]


def within(since, hours=2):
    return pl.col("event_time").is_between(since, since + hours * HOUR_MS, closed="left")


def test_each_has_one_label(befallen):
    assert befallen[1].select("episode", "kind", "since", "until").rows() == [
        ("traffic_collapse", "kpi", NOON, NOON + 2 * HOUR_MS),
        ("price_error", "kpi", EVENING, EVENING + 2 * HOUR_MS),
        ("search_outage", "kpi", NIGHT, NIGHT + 2 * HOUR_MS),
    ]


def test_visits_stay_away_while_traffic_has_collapsed_and_not_otherwise(befallen, spared):
    begun, usual = (rows.filter(pl.col("opens_visit")) for rows in (befallen[0], spared))
    assert begun.filter(within(NOON)).height < 0.2 * usual.filter(within(NOON)).height
    assert begun.filter(~within(NOON)).height == usual.filter(~within(NOON)).height


def test_nothing_is_paid_or_given_back_that_was_not_bought(befallen):
    rows = befallen[0]
    bought = rows.filter(event_type="purchase")["order_id"].unique()
    of_orders = rows.filter(pl.col("event_type").is_in(["payment", "refund"]))
    assert of_orders["order_id"].is_in(bought.implode()).all()


def test_prices_are_wrong_meanwhile_and_orders_stay_consistent(befallen, spared):
    lines = befallen[0].filter(event_type="purchase").join(
        spared.filter(event_type="purchase").select("event_id", right="price"), on="event_id"
    )  # fmt: skip
    during, other = lines.filter(within(EVENING)), lines.filter(~within(EVENING))
    assert during.height > 5
    assert (during["price"] == 10 * during["right"]).all()
    assert (other["price"] == other["right"]).all()
    hit = during["order_id"].unique()
    paid = befallen[0].filter(pl.col("event_type") == "payment", pl.col("order_id").is_in(hit.implode()))
    usual = spared.filter(event_type="payment").select("event_id", right="amount")
    paid = paid.join(usual, on="event_id")
    assert paid.height > 5
    assert (paid["amount"] == 10 * paid["right"]).all()


def test_no_search_finds_anything_meanwhile(befallen):
    searches = befallen[0].filter(event_type="search").with_columns(none=pl.col("properties") == '{"results":0}')
    assert searches.filter(within(NIGHT))["none"].all()
    assert searches.filter(~within(NIGHT))["none"].mean() < 0.2
