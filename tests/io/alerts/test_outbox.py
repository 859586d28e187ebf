"""The outbox: every alert reaches its receiver, whatever dies or fails, and no epoch waits for ever."""

import json
import threading
from dataclasses import dataclass

import pytest

from ecompulse.epochs.sinks import TableSpec
from ecompulse.io.alerts import mailbox
from ecompulse.io.alerts import outbox as module
from ecompulse.io.alerts.mailbox import LETTERS, LOG, PENDING
from ecompulse.io.alerts.targets import NotNowError, RefusedError, open_target
from support.alert_place import SPEC, STEPS, Place, Toy, dying_at, named
from support.alert_rows import ENDS, ROWS
from support.receivers import receiver


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_alerts_are_told_once_and_nothing_is_left(place):
    toy, files = Toy(), [(SPEC, [place.files(*named("a", "b"))])]
    box = place.box(toy=toy)
    box.take(1, files)
    box.take(1, files)  # published again
    place.box(toy=toy).take(1, files)  # by the next driver
    assert toy.took == ["a", "b"]
    assert place.store.list(PENDING) == []
    log = [json.loads(line) for name in place.store.list(LOG) for line in place.store.get(name).splitlines()]
    assert [(line["key"], line["outcome"], line["to"]) for line in log] == [
        ("a", "delivered", "toy"),
        ("b", "delivered", "toy"),
    ]


@pytest.mark.parametrize("table", sorted(ENDS))
def test_an_incident_that_begins_and_ends_in_one_epoch_is_told_in_that_order_whatever_its_ids(place, table):
    spec, told = TableSpec(table, ROWS[table][0], "since"), []

    class Told(Toy):
        def send(self, alerts):
            told.extend(alert.status for alert in alerts)

    over = {"id": "z", **ENDS[table], **({"id": "a"} if table != "abandonment_alerts" else {})}
    place.box(toy=Told()).take(1, [(spec, [place.files(over, {"id": "z"}, table=table)])])
    assert told == ["firing", "resolved"]


def test_tables_without_alerts_tell_nothing(place):
    toy = Toy()
    box = place.box(toy=toy)
    box.take(1, [(TableSpec("sessions", SPEC.schema, "since"), [place.files(*named("a"))])])
    box.take(2, [(SPEC, [])])
    assert toy.calls == 0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("failing", [False, True])
def test_killed_at_every_step_each_incident_fires_and_resolves_once_per_key(place, step, failing):
    toy, other = Toy([NotNowError("busy")] if failing else []), Toy()
    files = [(SPEC, [place.files({"id": "a"}, {**ENDS["metric_alerts"], "id": "z"})])]
    with dying_at(step), pytest.raises(KeyboardInterrupt):
        place.box(toy=toy, other=other).take(1, files)
    place.now += 60
    box = place.box(toy=toy, other=other)
    box.take(1, files)
    assert box.finish() == 0
    for each in (toy, other):
        assert list(dict.fromkeys(each.took)) == ["a", "z"]  # one that deduplicates by key has each once, in order
    assert place.store.list(PENDING) == []


@pytest.mark.parametrize("error", [NotNowError("HTTP 503"), OSError("gone"), RuntimeError("its own mistake")])
def test_what_a_receiver_does_not_take_waits_in_order_and_is_told_later(place, error):
    toy, other = Toy([error, error]), Toy()
    box = place.box(toy=toy, other=other)
    box.take(1, [(SPEC, [place.files(*named("a", "b"))])])
    assert (toy.took, toy.calls, other.took) == ([], 1, ["a", "b"])
    box.deliver()
    assert toy.calls == 1  # it is left alone for a while
    place.now += 1.5
    box.deliver()
    assert toy.calls == 2
    place.now += 1.5
    box.deliver()
    assert toy.calls == 2  # the pause has grown
    place.now += 1
    box.take(2, [(SPEC, [place.files(*named("c"))])])
    assert toy.took == ["a", "b", "c"]
    assert other.took == ["a", "b", "c"]
    assert len(place.said) == 2  # that it does not take them, and that it does again
    assert box.told()["toy"] == {"pending": 0, "delivered": 3, "failed": 2}


def test_a_pause_that_a_receiver_asks_for_is_kept(place):
    toy = Toy([NotNowError("HTTP 429", pause=60.0)])
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    for seconds, calls in ((50, 1), (11, 2)):
        place.now += seconds
        box.deliver()
        assert toy.calls == calls


def test_what_is_refused_is_a_letter_and_those_behind_it_go_on(place):
    toy = Toy([None, RefusedError("HTTP 400: bad"), None])
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a", "b", "c"))])])
    assert toy.took == ["a", "c"]
    [letters] = [json.loads(place.store.get(name)) for name in place.store.list(LETTERS)]
    assert [(each["alert"]["key"], each["said"]) for each in letters] == [("b", "HTTP 400: bad")]
    assert place.store.list(PENDING) == []
    assert "became letters" in place.said[0]


def test_of_a_batch_that_is_refused_only_the_alert_that_is_to_blame_is_a_letter(place):
    @dataclass
    class Strict(Toy):
        batch: int = 3

        def send(self, alerts):
            if any(alert.key == "b" for alert in alerts):
                raise RefusedError("HTTP 400")
            super().send(alerts)

    toy = Strict()
    place.box(toy=toy).take(1, [(SPEC, [place.files(*named("a", "b", "c", "d"))])])
    assert toy.took == ["a", "c", "d"]
    assert len(place.store.list(LETTERS)) == 1


def test_an_alert_that_waits_too_long_becomes_a_letter(place):
    toy = Toy([NotNowError("down")] * 99)
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    place.now += box.keep + 1
    box.deliver()
    assert box.pending == 0
    assert len(place.store.list(LETTERS)) == 1


def test_more_than_can_wait_become_letters_the_oldest_first(place, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    toy = Toy([NotNowError("down")])
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a", "b", "c"))])])
    place.now += 10
    assert box.finish() == 0
    assert toy.took == ["b", "c"]


def test_what_can_wait_is_found_by_counting_not_by_comparing_all_with_all(place, monkeypatch):
    def compared(*_: object) -> None:
        raise AssertionError("a backlog of thousands would take minutes")

    monkeypatch.setattr(module, "MOST", 2)
    monkeypatch.setattr(mailbox.Waiting, "__eq__", compared)
    toy = Toy([NotNowError("down")])
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a", "b", "c", "d"))])])
    assert box.pending == 2


def test_a_receiver_that_takes_them_gets_however_many_an_epoch_has(place, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    toy = Toy()
    place.box(toy=toy).take(1, [(SPEC, [place.files(*named("a", "b", "c", "d"))])])
    assert toy.took == ["a", "b", "c", "d"]
    assert place.store.list(LETTERS) == []


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(place):
    toy = Toy([NotNowError("busy", 600.0)])
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    place.now += 599
    box.deliver()
    assert toy.took == []
    place.now += 2
    box.deliver()
    assert toy.took == ["a"]


def test_a_receiver_that_is_gone_leaves_letters(place):
    place.box(toy=Toy([NotNowError("down")])).take(1, [(SPEC, [place.files(*named("a"))])])
    other = Toy()
    place.box(other=other)
    assert place.store.list(PENDING) == []
    assert len(place.store.list(LETTERS)) == 1
    assert other.took == []


def test_a_receiver_that_does_not_answer_takes_no_time_of_the_others(place):
    class Slow(Toy):
        def send(self, alerts):
            place.now += module.PATIENCE
            super().send(alerts)

    slow, other = Slow([NotNowError("down")] * 99), Toy()
    box = place.box(slow=slow, other=other)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    assert other.took == []  # all the time of this epoch is gone
    place.now += 10
    box.take(2, [(SPEC, [place.files(*named("b"))])])
    assert other.took == ["a", "b"]
    assert slow.calls == 2


def test_a_receiver_that_hangs_holds_up_no_epoch_and_is_not_asked_by_a_second_thread(place, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE", 0.05)
    over = threading.Event()

    class Hanging(Toy):
        def send(self, alerts):
            self.calls += 1
            over.wait(10)
            self.took += [alert.key for alert in alerts]

    toy = Hanging()
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    place.now += 5
    box.deliver()
    assert (toy.calls, box.pending) == (1, 1)
    over.set()
    box._lines["toy"].hangs.join()
    assert box.finish() == 0
    assert list(dict.fromkeys(toy.took)) == ["a"]  # told twice: it may have been taken by the first


@pytest.mark.parametrize("answer", [500, 503, (429, {"Retry-After": "1"}), "close", "garbage", "hang", "drip"])
def test_a_server_that_fails_in_every_way_and_recovers_has_all_in_order(place, monkeypatch, answer):
    monkeypatch.setattr(module, "DEADLINE", 0.3)
    with receiver([answer, 200, answer]) as server:
        box = place.box(server=open_target(f"webhook:{server.url}"))
        box.take(1, [(SPEC, [place.files(*named("a", "b", "c"))])])
        if answer in ("hang", "drip"):
            server.over.set()
        box._lines["server"].hangs.join()
        place.now += 5
        box.deliver()
        server.over.set()
        box._lines["server"].hangs.join()
        assert box.finish() == 0
        assert list(dict.fromkeys(server.keys)) == ["a", "b", "c"]


def test_at_the_end_of_a_run_what_waits_is_tried_for_a_while_only(place):
    toy = Toy([NotNowError("down")] * 1000)
    box = place.box(toy=toy)
    box.take(1, [(SPEC, [place.files(*named("a"))])])
    began = place.now
    assert box.finish() == 1
    assert place.now - began <= module.LAST_PATIENCE + 1
    assert place.store.list(PENDING)  # the next start goes on
    assert "1 still wait" in place.said[-1]
    place.now += 1000
    toy.errors.clear()
    assert place.box(toy=toy).finish() == 0
    assert toy.took == ["a"]


def test_the_log_does_not_grow_for_ever(place, monkeypatch):
    monkeypatch.setattr(mailbox, "LOGS", 4)
    box = place.box(toy=Toy())
    for epoch in range(1, 12):
        box.take(epoch, [(SPEC, [place.files(*named(f"a{epoch}"))])])
    assert 2 <= len(place.store.list(LOG)) <= 5
