"""A guess at how a file is written: read by what it says, every cell is right; and it says nothing of plain files."""

import gzip

import pytest

from ecompulse.io.files.guess import as_yaml, guess, same
from ecompulse.kernels.config import load_config
from ecompulse.kernels.foreign.dialect import PLAIN, Dialect

ROWS = "id;wann;wer\n1;01.05.2024;Jürgen\n2;02.05.2024;NULL\n"


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("a.csv", b"a,b\n1,2\n3,4\n", {}),
        ("a.jsonl", b'{"a":1}\n{"a":[{"b":1}]}\n', {}),
        ("a.json", b'[{"a":1}]', {}),
        ("a.csv", ROWS.encode(), {"delimiter": ";", "nulls": ["NULL"]}),
        ("a.csv", ROWS.encode("cp1252"), {"encoding": "cp1252", "delimiter": ";", "nulls": ["NULL"]}),
        ("a.csv", ROWS.encode("utf-16"), {"encoding": "utf-16", "delimiter": ";", "nulls": ["NULL"]}),
        ("a.csv", ROWS.encode("utf-16-le"), {"encoding": "utf-16-le", "delimiter": ";", "nulls": ["NULL"]}),
        ("a.txt", b"x\ty\n1\t2\n", {"delimiter": "tab", "kind": "csv"}),
        ("a.tsv", b"x\ty\n1\t2\n", {}),
        ("a.csv", b"exported today\n\nx|y|z\na|b|c\nd|e|f\n" + b"g|h|i\n" * 20, {"delimiter": "|", "skip": 2}),
        ("a.csv", b"1,2.5,2024-01-01\n2,3.5,2024-01-02\n", {"columns": ["column_1", "column_2", "column_3"]}),
        ("a.json", b'{"meta": {"n": 1},\n "orders": [\n {"id": 1}]}', {"rows": "orders"}),
        ("a.dat", b'{"a":1}\n', {"kind": "json"}),
    ],
)
def test_what_a_file_needs_is_guessed(tmp_path, name, data, wanted):
    for path, content in ((tmp_path / name, data), (tmp_path / f"{name}.gz", gzip.compress(data))):
        path.write_bytes(content)
        assert guess(str(path)) == wanted
        assert same(wanted, load_config(Dialect, wanted))
        assert same(wanted, PLAIN) == (not wanted)
    assert as_yaml({"delimiter": ";", "skip": 1}) == "format: {delimiter: ;, skip: 1}"


def test_nothing_is_guessed_of_what_is_no_text(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "b.csv").write_bytes(b"")
    assert guess(str(tmp_path / "a.parquet")) is None
    assert guess(str(tmp_path / "b.csv")) is None
