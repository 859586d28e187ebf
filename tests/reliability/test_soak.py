"""The judge of `make soak`, and the soak itself for seconds."""

import random

import pytest

from reliability.places import FLAGS, paced
from reliability.soak import OWN, PLACES, Sample, endure, trend, trends
from services import s3
from services.server import Server
from support.live import LiveShop, Servers
from support.numbered import Numbered


def series(at_minute, minutes=30, every=5):
    """(seconds, value) of a function of minutes."""
    return [(second, at_minute(second / 60)) for second in range(0, minutes * 60, every)]


@pytest.mark.parametrize(
    ("at_minute", "grows"),
    [
        (lambda minute: 300, False),
        (lambda minute: 300 + random.Random(minute).gauss(0, 20), False),
        (lambda minute: 300 + 10 * (minute % 5), False),  # a sawtooth: what is collected now and then
        (lambda minute: 300 + (200 if 10 < minute < 11 else 0), False),  # one peak
        (lambda minute: 300 - minute, False),
        (lambda minute: 300 + 2 * minute, True),
        (lambda minute: 300 + 2 * minute + random.Random(minute).gauss(0, 20), True),
        (lambda minute: 300 + 2 * minute + 10 * (minute % 5), True),
    ],
)
def test_growth_is_told_from_noise(at_minute, grows) -> None:
    assert trend("rss", [series(at_minute)], allowed=16, span=1800).grows == grows


def test_each_life_is_held_against_itself() -> None:
    """One life that began higher than the last is no growth; three that climb are."""
    flat = [[(at, 300 + 50 * life) for at, _ in series(abs, 10)] for life in range(3)]
    climbing = [[(at, 300 + at / 5) for at, _ in series(abs, 10)] for _ in range(3)]
    assert not trend("rss", flat, allowed=16, span=1800).grows
    assert trend("rss", climbing, allowed=16, span=1800).grows


def test_warm_ups_are_left_out() -> None:
    values = dict.fromkeys((*OWN, *PLACES), 1.0)
    samples = [
        Sample(at, at // 100, at % 100, {**values, "rss_mb": 500 if at % 100 > 30 else 5 * (at % 100)})
        for at in range(0, 400, 5)
    ]
    assert not any(one.grows for one in trends(samples, life=100))
    leak = [Sample(s.at, s.life, s.age, {**s.values, "checkpoint": s.at}) for s in samples]
    assert [one.name for one in trends(leak, life=100) if one.grows] == ["checkpoint"]


@pytest.mark.night
@pytest.mark.slow
def test_a_short_soak_samples_restarts_and_loses_nothing(
    tmp_path, kafka: Server, redis: Server, postgres: Server, moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    flags = (*FLAGS, f"--checkpoint={tmp_path / 'shop' / 'checkpoint'}")
    servers = Servers(kafka, redis, postgres, moto)
    shop = LiveShop(tmp_path / "shop", "", flags, servers=servers, numbered=Numbered(time_of=paced(100)))
    said: list[str] = []
    try:
        soak, found = endure(shop, seconds=20, life=4, rate=100, say=said.append, every=1)
    finally:
        shop.stop_all()
    assert found.whole, found
    assert len({sample.life for sample in soak.samples}) >= 2
    last = soak.samples[-1].values
    assert last.keys() == {*OWN, *PLACES}
    assert all(value > 0 for value in last.values()), last
    assert len(trends(soak.samples, 4)) == len(last)
