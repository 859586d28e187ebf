"""Receivers: which URLs open which, and what each answer of a server means."""

import base64

import pytest

from ecompulse.epochs.errors import UserError
from ecompulse.io.alerts.alert import alerts_of
from ecompulse.io.alerts.targets import NotNowError, RefusedError, open_target, register_alert_target
from support.alert_rows import rows_of
from support.receivers import receiver

ALERTS = alerts_of("metric_alerts", rows_of("metric_alerts"))


@pytest.mark.parametrize(
    ("url", "path", "shown"),
    [
        ("alertmanager:{}", "/api/v2/alerts", "alertmanager:127.0.0.1"),
        ("alertmanager:{}/prefix/", "/prefix/api/v2/alerts", "alertmanager:127.0.0.1"),
        ("{}/hook?token=s3cret", "/hook?token=s3cret", "webhook:127.0.0.1"),
        ("webhook:{}/hook", "/hook", "webhook:127.0.0.1"),
        ("pagerduty:s3cret@{}", "/v2/enqueue", "pagerduty:127.0.0.1"),
        ("slack:{}/services/s3cret", "/services/s3cret", "slack:127.0.0.1"),
        ("teams:{}/workflows/s3cret", "/workflows/s3cret", "teams:127.0.0.1"),
    ],
)
def test_each_receiver_is_sent_its_own_body_with_the_rows_id_as_key(url, path, shown):
    with receiver() as server:
        target = open_target(url.format(server.url))
        target.send(ALERTS)
        [(at, body, headers)] = server.told
    assert at == path
    assert body
    assert headers["Content-Type"] == "application/json"
    assert target.shown == shown
    assert "s3cret" not in target.shown
    assert headers.get("Idempotency-Key") == ("r0" if target.batch == 1 else None)


def test_a_user_and_password_of_a_url_are_a_header_and_in_no_name():
    with receiver() as server:
        target = open_target(f"alertmanager:{server.url.replace('://', '://me:s3%40cret@')}")
        target.send(ALERTS)
        [(path, _, headers)] = server.told
    assert path == "/api/v2/alerts"
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"me:s3@cret"
    assert target.shown == "alertmanager:127.0.0.1"


def test_a_url_without_a_scheme_of_the_web_has_the_usual_one():
    with receiver() as server:
        open_target(f"alertmanager:{server.url.removeprefix('http:')}").send(ALERTS)
        assert server.told[0][0] == "/api/v2/alerts"


@pytest.mark.parametrize("place", ["env", "file"])
def test_a_url_or_key_may_stand_elsewhere(place, monkeypatch, tmp_path):
    with receiver() as server:
        for scheme, secret in (("slack", server.url), ("webhook", server.url), ("", f"{server.url}/x")):
            (tmp_path / "secret").write_text(secret)
            monkeypatch.setenv("SECRET", secret)
            where = {"env": "env:SECRET", "file": f"file:{tmp_path / 'secret'}"}[place]
            open_target(f"{scheme}:{where}" if scheme else where).send(ALERTS)
        assert len(server.told) == 3


@pytest.mark.parametrize("answer", [400, 401, 403, 404, 410, 413, 422, 301, 307])
def test_what_will_never_be_taken_is_refused(answer):
    with receiver([answer]) as server, pytest.raises(RefusedError, match=f"HTTP {answer}: said"):
        open_target(f"webhook:{server.url}").send(ALERTS)


@pytest.mark.parametrize("answer", [408, 425, 429, 500, 502, 503, 504, "close", "garbage"])
def test_what_may_pass_is_for_later(answer):
    with receiver([answer]) as server:
        target = open_target(f"webhook:{server.url}/s3cret")
        with pytest.raises(NotNowError) as caught:
            target.send(ALERTS)
        assert "s3cret" not in str(caught.value)
        target.send(ALERTS)
    assert [body["status"] for body in server.bodies] == ["firing", "firing"]


@pytest.mark.parametrize(("after", "pause"), [("7", 7.0), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("", None)])
def test_a_receiver_may_ask_for_a_pause(after, pause):
    with receiver([(429, {"Retry-After": after})]) as server, pytest.raises(NotNowError) as caught:
        open_target(f"webhook:{server.url}").send(ALERTS)
    assert caught.value.pause == pause


def test_nobody_listens():
    with receiver() as server:
        gone = server.url
    with pytest.raises(NotNowError):
        open_target(f"webhook:{gone}").send(ALERTS)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("alertmanger://h:9093", "no such receiver of alerts, did you mean alertmanager"),
        ("alertmanager:h:9093", "alertmanager: wants http://HOST"),
        ("webhook:http://h:port", "webhook: wants a URL with a port"),
        ("pagerduty:env:NOT_THERE", "environment variable NOT_THERE is not set"),
        ("slack:file:/not/there", "/not/there cannot be read"),
        ("env:NOT_THERE", "environment variable NOT_THERE is not set"),
    ],
)
def test_a_url_that_cannot_be_is_one_line_that_names_the_flag(url, said):
    with pytest.raises(UserError, match=r"^--alert: ") as caught:
        open_target(url)
    assert said in str(caught.value)


def test_a_receiver_of_your_own_opens_by_its_scheme():
    class Toy:
        shown, batch = "toy", 3

        def __init__(self, rest) -> None:
            self.rest, self.took = rest, []

        def send(self, alerts):
            self.took += alerts

    register_alert_target("toy", Toy)
    target = open_target("toy:somewhere")
    target.send(ALERTS)
    assert (target.rest, len(target.took)) == ("somewhere", 1)


def test_apprise_speaks_to_a_service_that_it_knows():
    pytest.importorskip("apprise")
    with receiver([200, 500]) as server:
        target = open_target(f"apprise:json://{server.url.removeprefix('http://')}")
        target.send(ALERTS)
        assert "revenue_drop" in str(server.bodies[0])
        with pytest.raises(NotNowError):
            target.send(ALERTS)
    with pytest.raises(UserError, match="Apprise knows no such service"):
        open_target("apprise:nothing://at.all")
