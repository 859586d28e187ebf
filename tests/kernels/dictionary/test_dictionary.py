"""The dictionary: its own rules, without the jobs."""

import pytest

from ecompulse.kernels.dictionary import registry
from ecompulse.kernels.dictionary.column import About, Column
from ecompulse.kernels.dictionary.registry import about, comment_of, described, register


@pytest.mark.parametrize(
    ("column", "comment"),
    [
        (Column("what it is"), "what it is"),
        (Column("how long", "ms", example="12"), "how long [ms]; e.g. 12"),
        (Column("which", values=("a", "b")), "which; one of: a, b"),
    ],
)
def test_a_comment_says_unit_values_and_example(column, comment):
    assert column.comment == comment


def test_a_name_with_a_star_stands_for_all_that_begin_alike_and_the_nearest_wins():
    table = About("a row", {"user_*": Column("of users"), "user_geo_*": Column("of places"), "user_id": Column("who")})
    found = [table.column(name) for name in ("user_id", "user_name", "user_geo_city", "id", "other")]
    assert [each and each.meaning[:9] for each in found] == ["who", "of users", "of places", "identity ", None]


def test_a_table_of_your_own_is_described_as_the_shipped_ones_are(monkeypatch):
    monkeypatch.setattr(registry, "_TABLES", {name: about(name) for name in described()})
    before = len(described())
    register("test_bounces", About("one page and hour", {"bounced": Column("visits with one view", "visits")}))
    assert comment_of("test_bounces", "bounced") == "visits with one view [visits]"
    assert comment_of("test_bounces", "revision").startswith("grows")
    assert comment_of("nobody", "knows") == ""
    assert about("nobody").grain == ""
    assert len(described()) == before + 1


@pytest.mark.parametrize("table", described())
def test_every_meaning_is_a_line_that_says_something(table):
    for name, column in about(table).columns.items():
        assert len(column.meaning) > 3, name
        assert "\n" not in column.comment
