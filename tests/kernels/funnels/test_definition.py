"""The YAML of a funnel: read, or refused in one line that names the place."""

import pytest

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.funnels.definition import Funnel, default_funnel, parse_funnel


def test_the_shipped_funnel_is_the_default():
    assert default_funnel() == Funnel()


def test_a_funnel_of_other_stages():
    funnel = parse_funnel("""
name: rees46
stages:
  - {name: look, events: [product_view, search]}
  - {name: add_to_cart, presence: skippable}
  - name: purchase
max_time: 2h
modes: [open]
""")
    assert [stage.events for stage in funnel.stages] == [("product_view", "search"), ("add_to_cart",), ("purchase",)]
    assert list(funnel.admissible(0)) == [1, 2]
    assert list(funnel.admissible(2)) == []
    assert funnel.max_time == 7_200_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: [{name: purchase}]", "stages: a funnel has 2 to 20 stages, not 1"),
        ("stages: [{name: a}, {name: purchase}]", r"stages\[0\].name: 'a' is no event type"),
        ("stages: [{name: purchase}, {name: b, events: [purchase]}]", "stages: event type purchase is named twice"),
        (
            "stages: [{name: search, presence: skippable}, {name: purchase}]",
            r"stages\[0\]: the first stage is what enters",
        ),
        ("segments: [countri]", r"segments\[0\]: 'countri' is no dimension of a session, did you mean country\?"),
        ("modes: []", "modes: give at least one"),
        ("max_time: 0", "max_time: must be 1ms or more"),
        ("windw: 1h", "windw: unknown key, did you mean window"),
    ],
)
def test_a_wrong_funnel_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_funnel(text)
