"""The page of the shop: filters, incidents on charts, revenue by a dimension, quality, scores; equal to SQL."""

import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import sqlalchemy as sa
from deltalake import write_deltalake

from ecompulse.epochs.errors import UserError
from ecompulse.io.delta.lake import Lake
from ecompulse.io.sinks.database import open_engine
from ecompulse.ui import shop
from ecompulse.ui.app import Sources, make_app
from ecompulse.ui.rows import ROWS, cell
from ecompulse.ui.shop import read_shop
from ecompulse.ui.view import View, parse_view
from ecompulse.ui.words import number
from support.asgi import get

START = datetime(2025, 3, 1, tzinfo=UTC)


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def quality():
    """Two days of one job, a day of another, and rows without a time, which count in the hour of a much later run."""
    for job, hours in (("event_enrichment", (1, 2, 25)), ("realtime_metrics", (1,))):
        for hour in hours:
            start = text(START + timedelta(hours=hour))
            for rule in range(16):
                yield job, "schema_violation", f"rule{rule}", start, 5 if rule == 3 else 0, 100
            for field in range(10):
                yield job, "null_rate", f"field{field}", start, 19 if field == 0 else 0, 95
            yield job, "duplicate", "event_id", start, 2, 2
    for rule in range(16):
        yield "event_enrichment", "schema_violation", f"rule{rule}", text(START + timedelta(days=90)), rule == 0, 1


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """A day of orders by the minute and by ten, an incident of each kind, revenue by country, quality of two days."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('shop') / 'w.db'}")
    metrics, tens = [], range(1440)
    for minute in tens:
        start = text(START + timedelta(minutes=minute))
        metrics.append(("orders", "1m", start, "{}", str(minute % 7), None, 1))
        metrics.append(("orders", "10m/1m", start, "{}", str(minute), None, 1))
        if minute % 10 == 0:
            for country, value in (("DE", 2.5), ("FR", 1.25)):
                metrics.append(("revenue_by_country", "10m", start, f'{{"country":"{country}"}}', str(value), "EUR", 1))
    with engine.begin() as connection:
        make = "CREATE TABLE metrics (metric, window_size, window_start, dimensions, value, currency, final)"
        connection.execute(sa.text(make))
        for row in metrics:
            connection.exec_driver_sql("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        columns = "incident_id, rule, state, severity, metric, since, until, value"
        connection.execute(sa.text(f"CREATE TABLE metric_alerts ({columns})"))
        over = text(START + timedelta(hours=22, minutes=30))
        for state, until in (("firing", None), ("recovered", over)):
            turn = ("i1", "few_orders", state, "warning", "orders", text(START + timedelta(hours=22)), until, "1")
            connection.exec_driver_sql("INSERT INTO metric_alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", turn)
        columns = "incident_id, metric, dimensions, kind, state, severity, since, window_end, value"
        connection.execute(sa.text(f"CREATE TABLE anomaly_alerts ({columns}, expected_low, expected_high)"))
        odd = ("i2", "orders", "{}", "point", "firing", "critical", text(START + timedelta(hours=23)),
               text(START + timedelta(hours=23)), "9", "2.5", "4.5")  # fmt: skip
        connection.exec_driver_sql("INSERT INTO anomaly_alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", odd)
        connection.execute(sa.text("CREATE TABLE data_quality (job, check_name, subject, window_start, count, rows)"))
        for row in quality():
            connection.exec_driver_sql("INSERT INTO data_quality VALUES (?, ?, ?, ?, ?, ?)", row)
    return engine


def panel(panels, title):
    return next(panel for panel in panels if panel.title == title)


@pytest.mark.parametrize(
    ("span", "points", "values"),
    [("3h", 180, [minute % 7 for minute in range(1260, 1440)]), ("12h", 72, list(range(720, 1440, 10))),
     ("1d", 144, list(range(0, 1440, 10)))],
)  # fmt: skip
def test_a_span_shows_its_windows(warehouse, span, points, values):
    [kpi], _ = read_shop(warehouse, View(span))
    assert (len(kpi.starts), list(kpi.values)) == (points, values)


def test_until_goes_back_and_the_address_says_it(warehouse):
    view = parse_view({"span": "3h", "until": "2025-03-01T05:00"})
    [kpi], _ = read_shop(warehouse, view)
    assert (kpi.starts[0], kpi.starts[-1]) == ("2025-03-01 02:00", "2025-03-01 04:59")
    assert parse_view(dict(pair.split("=") for pair in view.query.replace("%3A", ":").split("&"))) == view


def test_incidents_and_what_was_expected_stand_on_the_chart(warehouse):
    page = get(make_app(Sources(list, None, warehouse)), "/shop?span=3h").text
    assert "<title>rule few_orders, 2025-03-01 22:00 to 2025-03-01 22:30</title>" in page
    assert "<title>anomaly, point, 2025-03-01 22:59 to 2025-03-01 22:59</title>" in page
    assert "<title>2025-03-01 22:59 expected 2.5 to 4.5</title>" in page
    assert "rule few_orders" not in get(make_app(Sources(list, None, warehouse)), "/shop?until=2025-03-01T05:00").text


def test_revenue_by_country_is_the_sum_over_the_span(warehouse):
    _, panels = read_shop(warehouse, View("12h", "country"))
    rows = panel(panels, "Revenue by country").rows
    assert rows == [("DE", "EUR", 180, "66.7%"), ("FR", "EUR", 90, "33.3%")]
    assert number(rows[0][2]) == "180.00"
    _, panels = read_shop(warehouse, View("12h", "device"))
    assert panel(panels, "Revenue by device").why == "no revenue_by_device in these hours"


def test_shares_are_of_all_revenue_however_long_the_list(warehouse):
    start = text(START + timedelta(hours=23))
    values = [*((f"c{number:02}", 1) for number in range(99)), ("null", None), ("one", 1)]
    with warehouse.connect() as connection:  # is rolled back
        for category, value in values:
            row = ("revenue_by_category", "10m", start, f'{{"category":"{category}"}}', value, "EUR", 1)
            connection.exec_driver_sql("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        _, rows = shop._revenue_by(connection, View(), START + timedelta(hours=23, minutes=59))
    assert len(rows) == ROWS
    assert {row[3] for row in rows} == {"1.0%"}


def test_a_text_that_is_as_long_as_a_time_stays_a_text():
    for value in ("QUJDREVGR0hJSktMTU5PUFFZ", "2025-01-01T00:00:00.00ZZ", "2025-01-01T00:00:00.000Z and"):
        assert cell(value) == value
    assert cell("2025-01-01T00:00:00.000Z") == "2025-01-01 00:00:00"


def test_quality_is_told_by_day_and_job_of_the_rows_that_were_read(warehouse):
    _, panels = read_shop(warehouse, View())
    assert panel(panels, "Quality of the input by day").rows == [
        ("2025-05-30", "event_enrichment", "schema_violation", 1, None, None),
        ("2025-03-02", "event_enrichment", "duplicate", 2, 100, "2.00%"),
        ("2025-03-02", "event_enrichment", "null_rate", 19, 950, "2.00%"),
        ("2025-03-02", "event_enrichment", "schema_violation", 5, 100, "5.00%"),
        ("2025-03-01", "event_enrichment", "duplicate", 4, 200, "2.00%"),
        ("2025-03-01", "event_enrichment", "null_rate", 38, 1900, "2.00%"),
        ("2025-03-01", "event_enrichment", "schema_violation", 10, 200, "5.00%"),
        ("2025-03-01", "realtime_metrics", "duplicate", 2, 100, "2.00%"),
        ("2025-03-01", "realtime_metrics", "null_rate", 19, 950, "2.00%"),
        ("2025-03-01", "realtime_metrics", "schema_violation", 5, 100, "5.00%"),
    ]


def test_an_incident_is_one_row_as_it_ended_and_lists_heed_the_view(warehouse):
    _, panels = read_shop(warehouse, View())
    [incident] = panel(panels, "Incidents").rows
    assert incident[3] == "recovered"
    [anomaly] = panel(panels, "Anomalies of KPIs").rows
    assert anomaly[1:4] == ("orders", "all", "point")
    _, panels = read_shop(warehouse, parse_view({"until": "2025-03-01T21:00"}))
    assert not panel(panels, "Incidents").rows
    assert not panel(panels, "Anomalies of KPIs").rows
    assert {row[0] for row in panel(panels, "Quality of the input by day").rows} == {"2025-03-01"}


@pytest.mark.parametrize(
    ("given", "message"),
    [({"span": "9h"}, "span=9h: no such span"), ({"by": "contry"}, "by=contry: no such by, did you mean country?"),
     ({"until": "noon"}, "until=noon: no time such as 2025-03-01T10:00"),
     ({"until": "0001-01-01T00:00"}, "until=0001-01-01T00:00: no time such as 2025-03-01T10:00"),
     ({"until": "9999-12-31T23:59-14:00"}, "until=9999-12-31T23:59-14:00: no time such as 2025-03-01T10:00")],
)  # fmt: skip
def test_a_wrong_filter_is_a_line(warehouse, given, message):
    with pytest.raises(UserError, match=re.escape(message)):
        parse_view(given)
    name, value = next(iter(given.items()))
    answer = get(make_app(Sources(list, None, warehouse)), f"/shop?{name}={value}")
    assert (answer.status, message.split(",")[0] in answer.text) == (404, True)


def test_scores_are_those_of_the_last_24_hours(warehouse, tmp_path):
    hours = [0, 0, 1, 11, 13, 25, 26]
    frame = pl.DataFrame({
        "score": [0.99, 0.99, 0.99, 0.1, 0.07, 0.99, 1.0],
        "event_time": [START + timedelta(hours=hour) for hour in hours],
    })  # fmt: skip
    frame = frame.with_columns(event_date=pl.col("event_time").dt.date())
    write_deltalake(f"{tmp_path}/risk_scores", frame.to_arrow(), partition_by=["event_date"])
    app = make_app(Sources(list, Lake(str(tmp_path)), warehouse))
    page = get(app, "/shop").text
    assert "<title>0.95 to 1.00 rows: 2</title>" in page
    assert "<title>0.05 to 0.10 rows: 1</title>" in page
    assert "<title>0.10 to 0.15 rows: 1</title>" in page
    page = get(app, "/shop?until=2025-03-01T12:00").text
    assert "<title>0.95 to 1.00 rows: 3</title>" in page
    assert "0.05 to 0.10 rows: 1" not in page
