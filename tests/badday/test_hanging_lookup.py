"""A look-up's store hangs: it accepts connections and answers nothing."""

import pytest

from services import redis
from services.fixtures import missing
from services.server import Unavailable
from support.bad_day import bad_day
from support.redis_rows import Rows

pytestmark = [pytest.mark.night, pytest.mark.slow]

NOTE = "the breaker of the look-up user is open"
STEPS = """steps:
  user:
    lookup: '{url}'
    columns: {{tier: text}}
    deadline: 1s
    breaker: {{failures: 1, reset: 1s}}
    cache: {{ttl: 1ms, negative_ttl: 1ms}}
"""


@pytest.fixture
def store(tmp_path):
    try:
        server = redis.start(tmp_path / "redis")
    except Unavailable as error:
        missing("redis", str(error))
    Rows(server, "shop").hashes({f"u{user}": {"tier": "gold"} for user in range(17)})
    yield server
    server.resume()
    server.stop()


def user(progress):
    return progress["lookups"]["user"]


@pytest.mark.heavy("a job of some minutes with all who watch it")
def test_a_look_up_that_hangs_is_seen_and_is_over_when_it_answers(tmp_path, feed, store):
    (tmp_path / "steps.yaml").write_text(STEPS.format(url=Rows(store, "shop").url()))
    flags = (f"--source={feed.folder}", f"--enrich={tmp_path / 'steps.yaml'}")
    with bad_day(tmp_path, "event_enrichment", flags, feed) as day:
        day.begin()
        last = day.job.epoch
        store.pause()
        day.signs(
            day.cause(lambda progress: user(progress).get("failed"), after=last),
            page=lambda: NOTE in day.job.page("/jobs/0"),
            rule=lambda: "BreakerOpen" in day.firing(),
            delivered=lambda: day.has_fired("BreakerOpen"),
        )
        last = day.job.epoch
        store.resume()
        day.signs(
            day.cause(lambda progress: user(progress)["breaker"] == "closed", after=last),
            page_over=lambda: "the breaker of the look-up" not in day.job.page("/jobs/0"),
            rule_over=lambda: "BreakerOpen" not in day.firing(),
            resolved=lambda: day.is_resolved("BreakerOpen"),
        )
        day.end("BreakerOpen")
