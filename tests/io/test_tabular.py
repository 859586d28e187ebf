import polars as pl
import pytest

from ecompulse.io.tabular import read_table


@pytest.mark.parametrize("name", ["a*", "[1]", "?", "n=7", "é {x}", "%41"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "CSV"])
def test_a_file_of_any_name_is_read_and_no_other(tmp_path, name, kind):
    rows, place = pl.DataFrame({"key": ["k"], "value": ["v"]}), tmp_path / name / f"{name}.{kind}"
    place.parent.mkdir()
    for path, frame in ((place, rows), (place.with_name(f"a1.{kind}"), rows.clear())):
        {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind.lower()](path)
    assert read_table(place).equals(rows)
    with pytest.raises(ValueError, match=r"is neither \.csv nor"):
        read_table(place.with_suffix(".txt"))
