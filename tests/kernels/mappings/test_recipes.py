"""The recipes of the documentation, as they stand there: every row is read, none is a dead letter."""

import re
from pathlib import Path

import pytest

from ecompulse.io.files.source import FileSource
from ecompulse.kernels.decode import decode
from ecompulse.kernels.mapping import parse_mapping

TEXT = (Path(__file__).parents[3] / "docs" / "mapping_recipes.md").read_text("utf-8")
RECIPES = re.findall(r"^## ([^\n]+)\n.*?```(json|csv)\n(.*?)```\n\n```yaml\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
EVENTS = {
    "An order with lines, and the order itself beside": 3,
    "Several kinds of rows in one stream": 2,
    "Changes of a table (Debezium)": 2,
    "Several formats of time in one column": 4,
    "Semicolons, no header, a decimal comma": 2,
}


def test_each_section_is_a_recipe():
    assert [name for name, *_ in RECIPES] == re.findall(r"^## (.+)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("name", "kind", "rows", "text"), RECIPES, ids=[name for name, *_ in RECIPES])
def test_a_recipe_reads_its_rows(tmp_path, name, kind, rows, text):
    mapping = parse_mapping(text)
    path = tmp_path / f"a.{kind if kind == 'csv' else 'jsonl'}"
    path.write_text(rows, "utf-8")
    source = FileSource(str(path), 0, dialect=mapping.format)
    [split] = source.plan({}, 100, {}, whole=True).splits
    [batch] = source.reader().read(split)
    found = decode(batch, 1_750_000_000_000, mapping)
    assert found.dead["message"].to_list() == []
    assert found.events.height == EVENTS.get(name, 1)
    named = {field for shape in mapping.shapes for field in shape.fields}
    assert [field for field in named if found.events[field].null_count() == found.events.height] == []
    if name.startswith("Several formats"):
        assert found.events["event_time"].n_unique() == 1
