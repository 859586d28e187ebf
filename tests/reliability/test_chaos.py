"""A dozen of the kills of `make chaos`: nine of the job, and each server."""

import os

import pytest

from reliability.chaos import unleash
from reliability.kills import AT, JOB, STEPS, Chaos, Kill, held_up
from reliability.places import FLAGS, mortal, paced
from services import s3
from services.fixtures import missing
from services.server import Server, Unavailable
from support.live import Life, LiveShop
from support.numbered import Count, Numbered

pytestmark = pytest.mark.slow


@pytest.mark.night
def test_a_dozen_of_kills(tmp_path, moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    try:
        with mortal(tmp_path, moto) as servers:
            shop = LiveShop(tmp_path / "shop", "", FLAGS, servers=servers, numbered=Numbered(time_of=paced(100)))
            try:
                chaos, found = unleash(
                    shop, kills=9, each=1, seed=int(os.environ.get("SEED", "6")), rate=100, say=said.append
                )
            finally:
                shop.stop_all()
    except Unavailable as error:
        missing("kafka", str(error))
    assert found.whole, (found, said)
    assert found.topic.rows > 500
    wanted = {JOB: 9, **dict.fromkeys(AT, 1)}
    hits = {target: chaos.hits(target) for target in wanted}
    assert all(hits[target] >= number for target, number in wanted.items()), (
        said
    )  # a server's may be one of the job more
    assert chaos.table()[-2].split() == ["all", *map(str, hits.values())]


def test_a_schedule_follows_its_seed_and_passes_every_step() -> None:
    def steps(seed: int) -> list[str]:
        chaos = Chaos(None, 0, 0, seed, print)  # type: ignore[arg-type]  # nobody is killed
        return [next(chaos._steps) for _ in STEPS]

    assert steps(1) == steps(1) != steps(2)
    assert sorted(steps(1)) == sorted(STEPS)


def test_kills_that_hit_nothing_do_not_count() -> None:
    chaos = Chaos(None, 1, 1, 1, print)  # type: ignore[arg-type]
    chaos.done += [Kill(JOB, "committed", hit=False, note=""), Kill("redis", "reading", hit=True, note="")]
    assert (chaos.hits(JOB), chaos.hits("redis")) == (0, 1)
    assert chaos._left() == [JOB, "kafka", "postgres"]
    assert chaos.table()[-1].endswith(": 1")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": [0, 1], "b": [0]}, Count(3, 0, 0, 0)),
        ({"a": [0], "b": [0]}, Count(2, 1, 0, 0)),
        ({"a": [0, 1, 1], "b": [0, 0, 0]}, Count(6, 0, 3, 0)),
        ({"a": [0, 1, 2], "c": [0]}, Count(4, 1, 0, 2)),
    ],
)
def test_what_is_lost_doubled_or_strange_is_counted(found: dict[str, list[int]], expected: Count) -> None:
    assert Count.of(found, {"a": [0, 1], "b": [0]}) == expected
    assert expected.whole == (found == {"a": [0, 1], "b": [0]})


@pytest.mark.parametrize(
    ("trace", "waited"),
    [
        ("100 kafka.written\n107 kafka.ledger_sent", "held up for 6.5 s after kafka.written"),
        ("100 kafka.written\n107 kafka.ledger_sent\n120 planned", "held up for 6.5 s after kafka.written"),
        ("100 kafka.written", "held up for"),  # for ever
        ("100 kafka.written\n104.5 sealed\n105.2 planned", ""),  # it did other things
        ("100 committed\n107 planned", ""),  # it had nothing to do
        ("", ""),
    ],
)
def test_an_epoch_that_waits_for_a_server_is_noticed(tmp_path, trace: str, waited: str) -> None:
    """Gone at 100.5, back at 105."""
    lines = [line.split() for line in trace.splitlines()]
    (tmp_path / "trace").write_text("".join(f"{round(float(at) * 1e9)} {step}\n" for at, step in lines))
    assert held_up(Life(None, tmp_path), 100.5, 105).startswith(waited)  # type: ignore[arg-type]
    assert bool(held_up(Life(None, tmp_path), 100.5, 105)) == bool(waited)  # type: ignore[arg-type]
