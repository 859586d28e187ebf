"""Revenue dips: visitors look, and nobody can pay. The job itself tells of it, as of all incidents of the shop."""

import pytest
import yaml

from support.bad_day import bad_day

pytestmark = [pytest.mark.night, pytest.mark.slow]

MINUTE = 60_000
BASE = 1_772_323_200_000
RULES = {
    "rules": {
        "revenue_dips": {
            "metric": "revenue_gross",
            "window": "1m",
            "below": 100,
            "recover": 200,
            "severity": "critical",
        }
    }
}


def purchases(feed):
    """Each call is five minutes of the shop; of the four events of a minute one is a purchase."""

    def event(number):
        kind = {
            "event_type": "purchase",
            "price": 50,
            "quantity": 10,
            "currency": "USD",
            "order_id": f"{feed.calls}-{number}",
        }
        return {
            "event_id": f"e{feed.calls}-{number}", "event_type": "page_view", "user_id": f"u{number}",
            "product_id": "p1", "event_time": BASE + feed.calls * 5 * MINUTE + number * MINUTE // 4,
            **(kind if number % 4 == 3 else {}),
        }  # fmt: skip

    return event


def cheap(event):
    return {**event, "price": 1} if event["event_type"] == "purchase" else event


def incidents(progress):
    return progress["sink"]["tables"].get("metric_alerts", 0)


@pytest.mark.heavy("a job of some minutes with all who watch it")
def test_a_dip_of_revenue_is_seen_and_is_over_when_it_recovers(tmp_path, feed):
    feed.count, feed.event = 20, purchases(feed)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    flags = (
        f"--source={feed.folder}", f"--rules={tmp_path / 'rules.yaml'}", "--alert=webhook:HOOK",
        "--watermark_delay=1m", "--accept_clock",
    )  # fmt: skip
    with bad_day(tmp_path, "realtime_metrics", flags, feed) as day:
        day.begin()
        last, feed.bend = day.job.epoch, cheap
        day.signs(
            day.cause(incidents, after=last),
            page=lambda: "<td>revenue_dips</td>" in day.job.page("/shop"),
            rule=lambda: "ShopIncident" in day.firing(),
            delivered=lambda: day.has_fired("revenue_dips"),
        )
        assert "<td>recovered</td>" not in day.job.page("/shop")
        last, feed.bend = day.job.epoch, lambda event: event
        day.signs(
            day.cause(incidents, after=last),
            page_over=lambda: "<td>recovered</td>" in day.job.page("/shop"),
            rule_over=lambda: "ShopIncident" not in day.firing(),
            resolved=lambda: day.is_resolved("revenue_dips"),
        )
        day.end("revenue_dips")
