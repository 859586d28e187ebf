"""The broker is killed. The job tries again and ends; its orchestrator starts it again until the broker is back."""

import json
from contextlib import closing

import pytest

from services import kafka
from services.fixtures import missing
from services.server import Unavailable
from support.bad_day import bad_day
from support.topics import Topics

pytestmark = [pytest.mark.night, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path):
    """One of its own: others must not lose theirs."""
    try:
        server = kafka.start(tmp_path / "kafka")
    except Unavailable as error:
        missing("kafka", str(error))
    yield server
    server.stop()


def send(broker, topic, feed):
    feed.calls += 1
    events = [json.dumps(feed.event(number)).encode() for number in range(feed.count)]
    with closing(Topics(broker.facts["bootstrap"])) as topics:
        topics.send(topic, events)


@pytest.mark.heavy("a job of some minutes with a broker of its own and all who watch it")
def test_a_broker_that_is_killed_is_seen_and_is_over_when_it_is_back(tmp_path, feed, broker):
    with closing(Topics(broker.facts["bootstrap"])) as topics:
        topic = topics.make()
    flags = (f"--source=kafka://{broker.facts['bootstrap']}/{topic}",)
    with bad_day(tmp_path, "event_enrichment", flags, lambda: send(broker, topic, feed)) as day:
        day.begin()
        day.feeding, last, starts = False, day.job.epoch, day.job.starts
        broker.kill()
        day.signs(
            last,
            page=lambda: "attempts in a row have failed (run)" in day.job.page("/jobs/0"),
            rule=lambda: "JobFails" in day.firing(),
            delivered=lambda: day.has_fired("JobFails"),
        )
        day.until(lambda: day.job.starts > starts + 1, "two restarts")
        assert "and the driver has ended: " in day.job.page("/jobs/0")
        assert not day.is_resolved("JobFails"), "a process that starts is not one that goes on"
        broker.start()
        day.feeding = True
        day.signs(
            day.cause(lambda progress: progress["numInputRows"], after=last),
            page_over=lambda: "What needs a look" not in day.job.page("/jobs/0"),
            rule_over=lambda: "JobFails" not in day.firing(),
            resolved=lambda: day.is_resolved("JobFails"),
        )
        day.end("JobFails")
