"""Through a real Alertmanager: each incident fires and resolves once, whatever dies on the way."""

import time
from collections import Counter

import pytest

from ecompulse.io.alerts.targets import open_target
from services.fixtures import missing
from services.prometheus import start_alertmanager
from services.server import Unavailable
from support.alert_place import SPEC, STEPS, Place, dying_at
from support.process import wait_until
from support.receivers import receiver

pytestmark = [pytest.mark.night, pytest.mark.slow]

NOW = time.time()


def turns(number):
    """Rows of an incident of now that fires and one that says it is over."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    began = datetime.now(UTC) - timedelta(minutes=5)
    own = {"incident_id": f"i{number}", "rule": f"rule_{number}", "since": began}
    fired = {"id": f"fired{number}", **own}
    return fired, {"id": f"over{number}", **own, "state": "recovered", "until": began + timedelta(minutes=1)}


def test_each_incident_fires_and_resolves_once(tmp_path):
    with receiver() as hook:
        try:
            server = start_alertmanager(tmp_path / "alertmanager", hook.url)
        except Unavailable as error:
            missing("alertmanager", str(error))
        try:
            for number, step in enumerate(STEPS):
                place = Place(tmp_path / step.value)
                fired, over = turns(number)
                for epoch, row in enumerate((fired, over), start=1):
                    target = open_target(f"alertmanager:{server.facts['url']}")
                    files = [(SPEC, [place.files(row)])]
                    with dying_at(step), pytest.raises(KeyboardInterrupt):
                        place.box(manager=target).take(epoch, files)
                    box = place.box(manager=target)
                    box.take(epoch, files)
                    assert box.finish() == 0
                    told = epoch

                    def seen(count=told, rule=row["rule"]):
                        return len(of_rule(hook, rule)) >= count

                    wait_until(seen)
            time.sleep(3)  # what would come twice would come now
            for number, _ in enumerate(STEPS):
                assert Counter(of_rule(hook, f"rule_{number}")) == {"firing": 1, "resolved": 1}
        finally:
            server.stop()


def of_rule(hook, rule):
    return [alert["status"] for body in hook.bodies for alert in body["alerts"] if alert["labels"]["alertname"] == rule]
