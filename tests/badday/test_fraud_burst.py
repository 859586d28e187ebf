"""Cards are tested from one device, beside the usual payments."""

import pytest
import yaml

from support.bad_day import bad_day

pytestmark = [pytest.mark.night, pytest.mark.slow]

MINUTE = 60_000
BASE = 1_772_323_200_000
NOTE = "of the payments of the last epochs are flagged"
POLICY = {"rules": {"tested_cards": {"device_count_1h": {"above": 3}}}}


def flagged(progress):
    return progress["sink"]["tables"].get("flagged_transactions", 0)


def payments(feed):
    """Each call is twenty minutes of the shop; the watermark closes what is ten minutes old."""

    def event(number):
        name = f"{feed.calls}-{number}"
        return {
            "event_id": f"e{name}", "event_type": "payment", "payment_id": f"p{name}", "user_id": f"u{name}",
            "event_time": BASE + feed.calls * 20 * MINUTE + number * 20 * MINUTE // feed.count,
            "amount": 10 + number % 5, "currency": "USD", "card_id": f"c{name}", "device_id": f"d{name}",
        }  # fmt: skip

    return event


def from_one_device(event):
    """Half of the payments come from one device."""
    return {**event, "device_id": "d-burst"} if int(event["event_id"].split("-")[1]) % 2 else event


@pytest.mark.heavy("a job of some minutes with all who watch it")
def test_a_burst_of_fraud_is_seen_and_is_over_with_the_last_of_it(tmp_path, feed):
    feed.count, feed.event = 60, payments(feed)
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    flags = (
        f"--source={feed.folder}",
        "--detect=fraud",
        f"--policy={tmp_path / 'policy.yaml'}",
        "--accept_clock",
        "--alerts_per_day=1000",
    )
    with bad_day(tmp_path, "anomaly_detection", flags, feed) as day:
        day.begin()
        assert "<td>rule</td>" not in day.until(lambda: day.job.page("/shop"), "the shop")
        last, feed.bend = day.job.epoch, from_one_device
        day.signs(
            day.cause(flagged, after=last),
            page=lambda: NOTE in day.job.page("/jobs/0") and "<td>rule</td>" in day.job.page("/shop"),
            rule=lambda: "FraudBurst" in day.firing(),
            delivered=lambda: day.has_fired("FraudBurst"),
        )
        last, feed.bend = day.job.epoch, lambda event: event
        day.signs(
            day.cause(lambda progress: progress["sink"]["tables"].get("risk_scores") and not flagged(progress), last),
            page_over=lambda: NOTE not in day.job.page("/jobs/0"),
            rule_over=lambda: "FraudBurst" not in day.firing(),
            resolved=lambda: day.is_resolved("FraudBurst"),
        )
        day.end("FraudBurst")
