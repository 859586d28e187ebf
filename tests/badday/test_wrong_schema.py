"""A producer deploys a wrong schema: two in five events have lost their time."""

import pytest

from support.bad_day import bad_day

pytestmark = [pytest.mark.night, pytest.mark.slow]

NOTE = "of the rows of the last epochs are dead letters"


def dead(progress):
    return progress["sink"]["tables"].get("dead_letters", 0)


def renamed(event):
    return (
        event
        if int(event["event_id"].split("-")[1]) % 5 > 1
        else {**event, "event_time": None, "eventTime": event["event_time"]}
    )


@pytest.mark.heavy("a job of some minutes with all who watch it")
def test_a_wrong_schema_is_seen_and_is_over_when_it_is_taken_back(tmp_path, feed):
    flags = (f"--source={feed.folder}",)
    with bad_day(tmp_path, "event_enrichment", flags, feed) as day:
        day.begin()
        assert "missing" not in day.until(lambda: day.job.page("/dead-letters"), "dead letters")
        last, feed.bend = day.job.epoch, renamed
        day.signs(
            day.cause(dead, after=last),
            page=lambda: NOTE in day.job.page("/jobs/0") and "missing" in day.job.page("/dead-letters"),
            rule=lambda: "DeadLettersSpike" in day.firing(),
            delivered=lambda: day.has_fired("DeadLettersSpike"),
        )
        last, feed.bend = day.job.epoch, lambda event: event
        day.signs(
            day.cause(lambda progress: progress["numInputRows"] and not dead(progress), after=last),
            page_over=lambda: NOTE not in day.job.page("/jobs/0"),
            rule_over=lambda: "DeadLettersSpike" not in day.firing(),
            resolved=lambda: day.is_resolved("DeadLettersSpike"),
        )
        day.end("DeadLettersSpike")
