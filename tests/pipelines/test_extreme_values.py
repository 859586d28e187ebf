"""Events that are good, and as extreme as events may be: no job stops, and no number is wrong."""

import json

import pytest

from support.process import Shop, write_lines
from support.receivers import receiver

START = 1_772_359_200_000
HOUR, DAY = 3_600_000, 86_400_000
GREATEST = 2**63 - 1


def event(number, at, kind="page_view", **fields: object):
    return {"event_id": f"e{number}", "event_type": kind, "event_time": at, "user_id": "u", **fields}


@pytest.fixture
def tables(tmp_path):
    """Runs a job over files of events to their end; its tables in the lake."""

    def run(job, files, *given: str):
        for number, events in enumerate(files):
            write_lines(tmp_path / "in" / f"{number:03}.jsonl", [json.dumps(found) for found in events])
        shop = Shop(tmp_path / "shop", tmp_path / "in", ("--progress=none", *given), job)
        status, said = shop.run_here("--drain")
        assert status == 0, said
        return {name.removeprefix("lake "): table for name, table in shop.tables().items()}

    (tmp_path / "in").mkdir()
    return run


def test_files_without_rows_do_not_end_a_run(tables):
    found = tables("event_enrichment", [[event(1, START)], [], [], [], [event(2, START)]], "--max_files_per_epoch=2")
    assert sorted(found["enriched_events"]["event_id"]) == ["e1", "e2"]


def test_a_currency_with_the_separator_of_series_is_one_text(tables, tmp_path):
    rules = "rules: {any: {metric: revenue_gross, window: 1m, above: 1, severity: info}}"
    (tmp_path / "rules.yaml").write_text(rules)
    sale = event(1, START, "purchase", price=5, quantity=1, currency="A\x1fB", order_id="o")
    with receiver() as taken:
        flags = (f"--rules={tmp_path / 'rules.yaml'}", f"--alert=webhook:{taken.url}")
        found = tables("realtime_metrics", [[sale, event(2, START + 2 * DAY)]], *flags)
    assert {body["commonLabels"]["currency"] for body in taken.bodies} == {"A\ufffdB"}
    revenue = found["metrics"].filter(metric="revenue_gross")
    assert set(revenue["currency"].drop_nulls()) == {"A\ufffdB"}
    assert all(isinstance(json.loads(text), dict) for text in found["metrics"]["dimensions"])


def test_whole_numbers_beyond_what_is_computed_are_null(tables, tmp_path):
    measures = {
        "middle": '{quantiles: "quantity", at: [0.5]}', "less": '{sum: "-quantity"}',
        "first": '{sum: "coalesce(quantity, price)"}', "chosen": '{sum: "quantity if quantity > 0 else price"}',
    }  # fmt: skip
    lines = [f"  {name}: {{measure: {measure}, windows: [tumbling 1h]}}" for name, measure in measures.items()]
    (tmp_path / "metrics.yaml").write_text("\n".join(["metrics:", *lines, ""]))
    quantities = [GREATEST, -GREATEST - 1, 10**18, 1_844_674_407_370_956, 7]
    events = [event(n, START + n * HOUR, quantity=quantity, price=1) for n, quantity in enumerate(quantities)]
    found = tables("realtime_metrics", [events], f"--metrics={tmp_path / 'metrics.yaml'}")["metrics"].filter("final")
    values = {
        name: {(row["window_start"].timestamp() * 1000 - START) // HOUR: row["value"] and float(row["value"])
               for row in found.filter(metric=name).to_dicts()}
        for name in measures
    }  # fmt: skip
    assert values["middle"][4] == 7
    assert values["less"][4] == -7
    assert values["less"].get(1) in {None, 0}
    assert values["first"] | {4: 7} == values["first"]
    assert all(abs(value or 0) < 10**18 for named in values.values() for value in named.values())
    assert {hour: values["chosen"].get(hour) for hour in (0, 2, 3)} != {3: 0.8384}
    assert values["first"].get(3) != 0.8384


def test_pages_with_control_characters_are_different_pages(tables):
    paths = [("one", "a\x1f/b", "c"), ("other", "a", "b\x1f/c")]
    views = [
        {**event(f"{user}{step}", START + step, url=f"https://s/{page}"), "user_id": user}
        for user, *pages in paths
        for step, page in enumerate(pages)
    ]
    found = tables("session_analytics", [views])["page_transitions"]
    assert found["id"].n_unique() == 2
    assert found["count"].to_list() == [1] * found.height


def test_a_cart_of_more_pieces_than_can_be_counted_keeps_its_line(tables):
    filled = [event(n, START + n, "add_to_cart", product_id="p", quantity=GREATEST, price=1) for n in range(2)]
    other = event(2, START + 2, "add_to_cart", product_id="q", quantity=1, price=1)
    [alert] = tables("session_analytics", [[*filled, other]])["abandonment_alerts"].to_dicts()
    assert {line["product"] for line in alert["lines"]} == {"p", "q"}


def test_lines_of_an_order_that_no_amount_can_hold_are_unknown(tables, tmp_path):
    lines = [event(n, START, "purchase", order_id="o", product_id=f"p{n}", price=97_087_378_640_000, quantity=1,
                   currency="USD") for n in range(19)]  # fmt: skip
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2020-01-01,USD,1\n")
    (tmp_path / "enrich.yaml").write_text(f"steps: {{currency: {{base: USD, rates: {tmp_path / 'rates.csv'}}}}}")
    flags = ("--transactions=purchase", "--detect=fraud", f"--enrich={tmp_path / 'enrich.yaml'}")
    found = tables("anomaly_detection", [lines], *flags)["risk_scores"]
    assert found.height == 1
    assert found["amount_base"].to_list() == [None]
