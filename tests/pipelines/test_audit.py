"""Was anything lost? A loss and a double planted in each sink are found, each by name."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from pipelines import audit, session_analytics
from support.place import Place, printed


@pytest.fixture(scope="module")
def whole(shop, tmp_path_factory):
    """Sessions of the shop in a lake, a warehouse and JSON lines; not to be written to."""
    place = Place(tmp_path_factory.mktemp("whole"), shop.events, job=session_analytics)
    assert place.run("--drain", "--max_records_per_epoch=500", f"--sink=jsonl:{place.root / 'lines'}") == 0
    return place


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def place(whole, tmp_path):
    """A copy to damage, and the flags that say where it is."""
    shutil.copytree(whole.root, tmp_path / "copy")
    return Place(tmp_path / "copy", whole.source, job=session_analytics)


def flags(place):
    return [
        place.checkpoint,
        f"--lake={place.lake}",
        f"--warehouse=sqlite:///{place.root / 'warehouse.db'}",
        f"--sink=jsonl:{place.root / 'lines'}",
    ]


def differences(place, capsys):
    """What the audit finds, by table and sink."""
    said = printed(capsys, audit, *flags(place), status=1)
    return [line.removeprefix("DIFFERS  ") for line in said.splitlines() if line.startswith("DIFFERS")]


def in_warehouse(place, statement, values=()):
    with sqlite3.connect(place.root / "warehouse.db") as warehouse:
        return warehouse.execute(statement, values).fetchall()


def test_rows_that_were_read_are_where_they_should_be(whole, shop, capsys):
    said = printed(capsys, audit, whole.checkpoint)
    facts = dict(line.rsplit(maxsplit=1) for line in said.splitlines() if line.startswith("  ") and "/" not in line)
    placed = {name.strip(): int(rows.replace(",", "")) for name, rows in facts.items()}
    assert placed["session_events"] == whole.raw("session_events").height
    assert placed["dead_letters"] == whole.raw("dead_letters").height == sum(shop.truth.broken.values())
    assert placed["held"] == 0
    assert sum(placed.values()) == shop.truth.rows
    assert "every one is accounted for" in said


def test_a_span_of_epochs_is_compared_by_itself(whole, capsys):
    said = printed(capsys, audit, whole.checkpoint, "--from=2", "--to=2")
    assert "epochs 2 to 2" in said
    assert audit.main([str(whole.checkpoint), "--to=99"]) == 2
    assert "--to: epoch 99 is not committed" in capsys.readouterr().err


def test_a_row_that_the_lake_has_lost(place, capsys):
    table = DeltaTable(str(place.lake / "session_events"))
    one = place.raw("session_events").row(0, named=True)
    table.delete(f"event_id = '{one['event_id']}'")
    left = place.raw("session_events").filter(epoch=one["epoch"]).height
    sealed = f"epoch {one['epoch']}: {left + 1:,} sealed, {left:,} there"
    assert differences(place, capsys) == [f"session_events in lake:{place.lake}: {sealed}"]


def test_a_row_that_the_lake_has_twice(place, capsys):
    row = place.raw("session_events").head(1)
    write_deltalake(str(place.lake / "session_events"), row.to_arrow(), mode="append", partition_by=["event_date"])
    [line] = differences(place, capsys)
    assert line.startswith(f"session_events in lake:{place.lake}: epoch {row['epoch'][0]}: ")


def test_a_file_of_the_lake_that_is_gone(place, capsys):
    next((place.lake / "session_events").glob("event_date=*/*.parquet")).unlink()
    lines = differences(place, capsys)
    assert any(line.startswith(f"session_events in lake:{place.lake}: cannot be read: ") for line in lines)


def test_a_row_that_the_warehouse_has_lost(place, capsys):
    [(identity,)] = in_warehouse(place, "select id from sessions limit 1")
    in_warehouse(place, "delete from sessions where id = ?", (identity,))
    [line] = differences(place, capsys)
    assert line == f"sessions in warehouse:sqlite:///{place.root / 'warehouse.db'}: 1 missing: {identity}"


def test_a_row_too_many_in_the_warehouse(place, capsys):
    in_warehouse(place, "update sessions set id = 'strange' where id = (select min(id) from sessions)")
    missing, surplus = differences(place, capsys)
    assert ": 1 missing: " in missing
    assert ": 1 too many: strange" in surplus


def test_an_old_revision_in_the_warehouse(place, capsys):
    in_warehouse(place, "update sessions set revision = revision - 1 where id = (select min(id) from sessions)")
    [line] = differences(place, capsys)
    assert "1 of another revision: " in line


@pytest.mark.parametrize("times", [0, 2])
def test_a_line_that_is_lost_or_doubled(place, capsys, times):
    [path] = (place.root / "lines").glob("session_events-*.jsonl")
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(first * times + "".join(rest))
    [line] = differences(place, capsys)
    assert line.startswith(f"session_events in jsonl:{place.root / 'lines'}: epoch {json.loads(first)['epoch']}: ")


def test_rows_of_others_are_not_ours(place, capsys):
    """Another job, and another instance, on the same tables."""
    other = Place(
        place.root, place.source, ("--instance=other", f"--checkpoint={place.root / 'theirs'}"), session_analytics
    )
    assert other.run("--drain") == 0
    printed(capsys, audit, *flags(place))
    printed(capsys, audit, place.root / "theirs", *flags(place)[1:3], "--sink=none")


def test_a_warehouse_that_is_not_made_yet_and_one_that_is_gone(shop, here, capsys):
    (here / "events.jsonl").write_bytes(shop.files()[0].read_bytes())
    quiet = ["--source=events.jsonl", "--progress=none"]
    assert session_analytics.main(quiet) == 0, "without a drain nothing is out yet"
    printed(capsys, audit, "checkpoints/session_analytics")
    assert session_analytics.main([*quiet, "--drain"]) == 0
    printed(capsys, audit, "checkpoints/session_analytics")
    (here / "warehouse.db").unlink()
    said = printed(capsys, audit, "checkpoints/session_analytics", status=1)
    assert f"sessions in warehouse:sqlite:///{here / 'warehouse.db'}: the table is missing" in said


@pytest.mark.parametrize(
    ("span", "said"), [("--from=0", "--from: 0: give an epoch from 1"), ("--from=999", "--from: 999: give")]
)
def test_a_span_that_is_none(whole, capsys, span, said):
    assert audit.main([str(whole.checkpoint), span]) == 2
    assert said in capsys.readouterr().err


def test_it_says_what_it_needs(tmp_path: Path, capsys):
    assert audit.main([str(tmp_path)]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
