"""Generated parts of docs/ are what the code says; `make docs` writes them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts" / "docs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_documents_are_current(docs) -> None:
    stale = [path.name for path, text in docs.documents().items() if not path.exists() or path.read_text() != text]
    assert not stale, "run `make docs`"


def test_every_part_is_used(docs) -> None:
    text = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert {found[1] for found in docs.PART.findall(text)} == set(docs.PARTS)


def test_a_stale_part_is_found(docs) -> None:
    before = "a\n<!-- generated: types -->\nold\n<!-- end -->\nb\n"
    after = docs.written(before)
    assert "`page_view`" in after
    assert "old" not in after
    assert after.startswith("a\n")
    assert after.endswith("b\n")
