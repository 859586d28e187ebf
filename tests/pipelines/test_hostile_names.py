"""Names are data: of files, folders, checkpoints, lakes, tables and columns, whatever is in them."""

import json

import polars as pl
import pytest

from support.process import Shop, command, events, write_lines

pytestmark = pytest.mark.slow

NAMES = ["é 'q' \"d\" + #*?{z}&;=$(x)`", "50% -- off,  two  ", "-rf", "a:b@c"]
ANY = ["[1] %41 \\ n=7", "line\nfeed", "*"]
"""Names that deltalake cannot have, but any other place."""


@pytest.mark.parametrize("name", [*NAMES, *ANY])
def test_a_job_and_its_tools_in_places_of_any_name(tmp_path, name):
    folder = tmp_path / name
    shop = Shop(folder if name in NAMES else tmp_path / "plain", folder / name, ("--num_shards=2", "--progress=none"))
    write_lines(folder / name / f"{name}.jsonl", events(60))
    pl.DataFrame({**json.loads(next(events(1, 70))), "source": "x", name: 1}).write_parquet(
        folder / name / f"{name}.parquet"
    )
    flags = [
        f"--checkpoint={folder / 'check'}",
        f"--checkpoint_backup={folder / 'backup'}",
        f"--sink=jsonl:{folder / 'lines'}",
    ]
    status, said = shop.run_here(*flags, "--drain")
    assert (status, said) == (0, "")
    tables = shop.tables()
    rows = tables["lake enriched_events"]
    assert rows.height + tables["lake dead_letters"].height == 61
    assert sum(json.loads(text).get(name, 0) for text in rows["properties"].drop_nulls()) == 1
    assert command("pipelines.audit", str(folder / "check"), f"--lake={shop.root / 'lake'}")[0] == 0
    assert command("pipelines.checkpoint", "verify", str(folder / "check"))[0] == 0
    status, shown, _ = command("pipelines.deadletters", "show", f"--lake={shop.root / 'lake'}", "--format=json")
    assert {json.loads(line)["source"] for line in shown.splitlines()} == {str(folder / name / f"{name}.jsonl")}


@pytest.mark.parametrize("name", ["t[1]", "a%20b"])
def test_a_lake_that_could_not_be_found_again_is_refused(tmp_path, name):
    shop = Shop(tmp_path / name, tmp_path / "in", ("--progress=none",))
    write_lines(tmp_path / "in" / "1.jsonl", events(5))
    status, said = shop.run_here()
    assert status == 2
    assert said.startswith("event_enrichment: --lake: ")
    assert "cannot be below a path" in said
