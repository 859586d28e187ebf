"""Alerts of whole jobs: delivered, routed, kept when nobody takes them, shown by the tool."""

import json
import shutil
import signal
import time

import pytest

from ecompulse.cli import alerts, checkpoint
from ecompulse.epochs.steps import Step
from ecompulse.io.alerts import outbox
from ecompulse.io.alerts.targets import NotNowError
from pipelines import session_analytics
from support.alert_place import SPEC, Toy, named
from support.alert_place import Place as Outboxes
from support.marks import nightly
from support.place import Place, printed
from support.process import Shop
from support.receivers import receiver


@pytest.fixture
def place(shop, tmp_path):
    return Place(tmp_path, shop.events, ("--dedup", "--drain"), session_analytics)


def test_carts_that_were_left_are_told_and_a_second_run_tells_nothing(place, capsys):
    with receiver() as server:
        assert place.run(f"--alert={server.url}/hook") == 0
        left = place.raw("abandonment_alerts")
        keys = {row["id"] if row["revision"] == 1 else f"{row['id']}/{row['revision']}" for row in left.to_dicts()}
        assert set(server.keys) == keys
        assert len(server.keys) == len(keys) > 3
        assert place.run(f"--alert={server.url}/hook") == 0
        assert len(server.keys) == len(keys)
    log = [json.loads(line) for line in printed(
        capsys, alerts, "log", str(place.checkpoint), "--limit=10000", "--format=json").splitlines()]  # fmt: skip
    assert {line["key"] for line in log} == keys
    assert {line["outcome"] for line in log} == {"delivered"}


def test_routes_say_who_is_told(place, tmp_path):
    routes = tmp_path / "routes.yaml"
    routes.write_text("routes: [{rule: abandoned_checkout, to: mail}, {to: []}]")
    with receiver() as chat, receiver() as mail:
        flags = (f"--alert=chat=slack:{chat.url}", f"--alert=mail={mail.url}", f"--alert_routes={routes}")
        assert place.run(*flags) == 0
    assert chat.told == []
    assert {body["commonLabels"]["alertname"] for body in mail.bodies} == {"abandoned_checkout"}


def test_what_is_refused_is_a_letter_that_can_be_given_back(place, capsys, monkeypatch):
    with receiver([404] * 10_000) as server:
        assert place.run(f"--alert={server.url}/hook") == 0  # the job is none the worse
        count = len(server.keys)
        shown = printed(capsys, alerts, "letters", str(place.checkpoint), "--limit=10000", "--format=json")
        assert len(shown.splitlines()) == count
        assert "HTTP 404" in shown
        server.answers.clear()
        server.told.clear()
        assert f"{count:,} alerts wait again" in printed(capsys, alerts, "retry", str(place.checkpoint))
        assert place.run(f"--alert={server.url}/hook") == 0
        assert len(server.keys) == count
    assert printed(capsys, alerts, "letters", str(place.checkpoint)) == "none\n"
    assert printed(capsys, alerts, "pending", str(place.checkpoint)) == "none\n"


def test_a_letter_that_waited_too_long_is_told_when_it_is_given_back(tmp_path, capsys):
    down, up = Toy([NotNowError("HTTP 503")] * 2), Toy()
    place = Outboxes(tmp_path, now=time.time() - 100_000)
    (tmp_path / "checkpoint" / "meta.json").parent.mkdir(exist_ok=True)
    (tmp_path / "checkpoint" / "meta.json").write_text("{}")
    box = place.box(toy=down)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    [waits] = [json.loads(printed(capsys, alerts, "pending", str(tmp_path / "checkpoint"), "--format=json"))]
    assert (waits["tries"], waits["said"]) == (1, "HTTP 503")
    place.now += box.keep + 1
    box.deliver()
    assert "1 alerts wait again" in printed(capsys, alerts, "retry", str(tmp_path / "checkpoint"))
    place.now = time.time()
    place.box(toy=up).deliver()
    assert up.took == ["a"]


def test_what_waits_when_a_checkpoint_is_lost_comes_back_with_its_backup(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(outbox, "LAST_PATIENCE", 0.0)
    backup = f"--checkpoint_backup={tmp_path / 'backup'}"
    with receiver([503] * 10_000) as server:
        assert place.run(f"--alert=hook={server.url}/hook", backup) == 0
    waiting = json_lines(capsys, "pending", place)
    assert len(waiting) > 3
    shutil.rmtree(place.checkpoint)
    assert checkpoint.main(["restore", str(tmp_path / "backup"), f"--to={place.checkpoint}"]) == 0
    monkeypatch.undo()
    with receiver() as server:
        assert place.run(f"--alert=hook={server.url}/hook", backup) == 0
        assert len(set(server.keys)) == len(waiting)
    assert not list((tmp_path / "backup" / "alerts" / "pending").glob("*"))


def test_what_waits_goes_with_a_checkpoint_to_other_shards(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(outbox, "LAST_PATIENCE", 0.0)
    with receiver([503] * 10_000) as server:
        assert place.run(f"--alert=hook={server.url}/hook") == 0
    waiting = json_lines(capsys, "pending", place)
    assert len(waiting) > 3
    other = tmp_path / "resharded"
    assert checkpoint.main(["reshard", str(place.checkpoint), f"--to={other}", "--num_shards=3"]) == 0
    monkeypatch.undo()
    with receiver() as server:
        assert place.run(f"--alert=hook={server.url}/hook", f"--checkpoint={other}", "--num_shards=3") == 0
        assert len(server.keys) == len(set(server.keys)) == len(waiting)


def json_lines(capsys, verb, place):
    """What the tool has to say."""
    capsys.readouterr()
    told = printed(capsys, alerts, verb, str(place.checkpoint), "--limit=100000", "--format=json")
    return [json.loads(line) for line in told.splitlines()]


def test_wrong_receivers_and_routes_are_one_line(place, tmp_path, wrong):
    routes = tmp_path / "routes.yaml"
    routes.write_text("routes: [{to: pagr}]")
    for flags, said in (
        (("--alert=nonsense",), "--alert: wants [NAME=]SCHEME:"),
        (("--alert=slak:https://h/x",), "--alert: slak: no such receiver of alerts, did you mean slack"),
        (("--alert=pager=pagerduty:k", f"--alert_routes={routes}"), "--alert_routes: routes[0].to: 'pagr' is none"),
        ((f"--alert_routes={tmp_path / 'gone'}",), "--alert_routes: "),
    ):
        assert said in wrong(session_analytics.main, *place.arguments(*flags)), flags
    routes.write_text(
        "routes: [{table: flagged_transactions, rule: of_another_job, to: p}, {rule: abandoned_crt, to: p}]"
    )
    said = wrong(session_analytics.main, *place.arguments("--alert=p=pagerduty:k", f"--alert_routes={routes}"))
    assert "--alert_routes: routes[1].rule: 'abandoned_crt' matches no rule (one of another job wants its table" in said
    assert said.endswith(", did you mean abandoned_cart?")
    assert "holds no checkpoint" in wrong(alerts.main, "log", str(tmp_path / "nothing"))


STEPS = [step for step in Step if step.value.startswith("alerts.")]


@pytest.mark.slow
@pytest.mark.parametrize("step", nightly(STEPS, [Step.ALERTS_SENT]))
@pytest.mark.parametrize("occurrence", nightly([1, 2], [1]))
def test_a_job_that_is_killed_while_it_tells_loses_no_alert(shop, tmp_path, step, occurrence):
    flags = ("--dedup", "--drain", "--num_shards=2", "--max_records_per_epoch=700", "--progress=none")
    calm, killed = (Shop(tmp_path / name, shop.events, flags, "session_analytics") for name in ("calm", "killed"))
    with receiver() as server:
        assert calm.run_here(f"--alert={server.url}")[0] == 0
        answer = list(server.keys)
    with receiver() as server:
        status, said = killed.run(f"--alert={server.url}", crash_at=f"{step}:{occurrence}")
        assert status == -signal.SIGKILL, said
        assert killed.run_here(f"--alert={server.url}")[0] == 0
        assert list(dict.fromkeys(server.keys)) == answer  # told twice, maybe; told once each by their keys, in order
    assert len(set(answer)) == len(answer) > 3
