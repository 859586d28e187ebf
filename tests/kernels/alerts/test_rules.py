"""Numbers that no rule can have."""

import pytest

from ecompulse.kernels.alerts.rules import parse_rules
from ecompulse.kernels.config import ConfigError

NINES = "9" * 38


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("above: .nan", "above: expected a decimal number"),
        ("above: .inf", "above: expected a decimal number"),
        ("below: -.inf", "below: expected a decimal number"),
        ("above: 1e400", "above: must be less than 10^20"),
        (f"above: {NINES}", "above: must be less than 10^20"),
        (f"below: -{NINES}.5", "below: must be less than 10^20"),
        ("above: 1, least: .nan", "least: expected a decimal number"),
        ("above: 1, least: 1e30", "least: must be less than 10^20"),
        ("above: 1, recover: .nan", "recover: expected a decimal number"),
        (f"above: 1, recover: -{NINES}", "recover: must be less than 10^20"),
        ("drop: .nan, against: previous", "drop: nan must be 0 or more, and at most 100000000%"),
        ("rise: .inf, against: previous", "rise: inf must be 0 or more, and at most 100000000%"),
        (f"drop: {NINES}%, against: previous", f"drop: '{NINES}%' must be 0 or more, and at most 100000000%"),
        ("drop: 30%, recover: .nan, against: previous", "recover: nan must be 0 or more"),
        ("absent: 99999999d", "absent: '99999999d' is longer than 100 years"),
    ],
)
def test_a_number_that_no_rule_can_have_is_one_line_with_its_path(rule, message):
    with pytest.raises(ConfigError) as error:
        parse_rules(f"rules: {{r: {{metric: m, {rule}}}}}")
    assert str(error.value).startswith(f"rules.r.{message}")
    assert "\n" not in str(error.value)


def test_the_greatest_numbers_are_rules():
    rules = "{a: {metric: m, above: 99999999999999999999}, d: {metric: m, rise: 1000000, against: previous}}"
    assert set(parse_rules(f"rules: {rules}").rules) == {"a", "d"}
