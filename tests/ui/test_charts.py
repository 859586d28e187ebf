from xml.etree import ElementTree as ET

import pytest

from ecompulse.ui.charts import line_chart, stacked_chart
from ecompulse.ui.words import largest_unit, number, short, size


def picture(chart):
    return ET.fromstring(str(chart))  # noqa: S314  # what is no XML is no page


def test_every_point_has_its_value_as_a_title():
    chart = picture(line_chart("Rows", ["a", "b", "c"], {"in": [1, None, 3], "out": [None, 2, 4]}))
    assert [title.text for title in chart.iter("title")] == ["a in: 1", "c in: 3", "b out: 2", "c out: 4"]
    assert len(list(chart.iter("polyline"))) == 4, "a gap parts a line"


def test_texts_are_never_markup():
    chart = picture(line_chart("<b>", ['"><script>'], {"<i>&": [1.0]}))
    assert chart.find("figcaption").text == "<b>"
    assert not list(chart.iter("script"))


def test_parts_add_up_to_the_greatest_height():
    chart = picture(stacked_chart("ms", ["1", "2"], {"run": [10, 30], "seal": [10, 10]}))
    heights = [float(bar.get("height")) for bar in chart.iter("rect")]
    assert abs(heights[0] - heights[1] / 3) < 0.1
    assert abs(heights[1] + heights[3] - 4 * heights[0]) < 0.1


@pytest.mark.parametrize(
    ("ms", "unit"),
    [(0, "seconds"), (119_999, "seconds"), (120_000, "minutes"), (3 * 3_600_000, "hours"), (9e10, "days")],
)
def test_a_gap_is_drawn_in_a_unit_that_suits_it(ms, unit):
    assert largest_unit(ms)[1] == unit


def test_nothing_to_draw_is_nothing():
    assert not line_chart("x", ["a"], {"none": [None]})
    assert not stacked_chart("x", ["a"], {"none": [0]})


def test_numbers_of_an_axis():
    assert [short(value) for value in (0, 0.5, 999, 1234, 2_500_000)] == ["0", "0.5", "999", "1.23k", "2.5M"]


def test_a_number_has_no_exponent_that_a_unit_or_digits_can_say():
    assert [short(value) for value in (999.4, 999.9, -999_950, 1.5e13)] == ["999", "1k", "-1M", "15T"]
    assert [size(count) for count in (999, 999_999, 10**12)] == ["999 B", "1 MB", "1 TB"]
    assert [number(value) for value in (1_234_567.5, 0.25, -2e9, 1e-9)] == [
        "1,234,568",
        "0.25",
        "-2,000,000,000",
        "1e-09",
    ]
