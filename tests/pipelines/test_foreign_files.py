"""Foreign files through a whole job: each row is an event or a dead letter, and the audit finds nothing missing."""

import gzip
import json

import polars as pl
import pytest

from ecompulse.kernels.event import MAX_ROW_BYTES
from support.process import Shop, command, events, write_lines

pytestmark = pytest.mark.slow

HEADER = "event_id,event_type,event_time,user_id,query"


def _csv(count, ending="\n", cell=""):
    lines = [
        f"c{n},search,2026-03-01T00:00:{n % 60:02d}Z,u{n},{cell if n % 30 == 7 else 'red shoes'}" for n in range(count)
    ]
    return ending.join([HEADER, *lines, ""]).encode()


def test_every_row_of_a_folder_of_foreign_files_is_accounted_for(tmp_path):
    folder, far = tmp_path / "in", tmp_path / "far"
    folder.mkdir()
    far.mkdir()
    rows = list(events(20, 100))
    files = {
        folder / "stray.csv": _csv(90, cell='27" monitor'),
        folder / "open.csv": _csv(90, cell='"never closed'),
        folder / "mac.csv": _csv(90, "\r"),
        folder / "twice.csv": _csv(30).replace(b"user_id,query", b"user_id,,query,query", 1),
        folder / "mac.jsonl": "\r".join(rows).encode(),
        folder / "mark.jsonl": ("\ufeff" + "\n".join(rows)).encode(),
        folder / "EXPORT.CSV": _csv(30),
        folder / "array.json": f"[\n{rows[0]}\n]\n".encode(),
        folder / "huge.jsonl.gz": gzip.compress(
            b"\n".join([rows[0].encode(), b"x" * 3 * MAX_ROW_BYTES, b"", rows[1].encode()])
        ),
        far / "linked.jsonl": "\n".join(rows).encode(),
    }
    for path, content in files.items():
        path.write_bytes(content)
    (folder / "link").symlink_to(far)
    odd = {**json.loads(rows[3]), "source": "mail", "source_offset": 7}
    pl.DataFrame([odd]).with_columns(kept=pl.duration(seconds=3)).write_parquet(folder / "odd.parquet")
    expected = 90 + 90 + 90 + 30 + 20 + 20 + 30 + 1 + 3 + 20 + 1
    shop = Shop(tmp_path / "shop", folder, ("--num_shards=2", "--progress=none"))
    status, _ = shop.run_here("--drain")
    assert status == 0
    tables = shop.tables()
    good, dead = tables["lake enriched_events"], tables["lake dead_letters"]
    assert good.height + dead.height == expected
    by_file = dict(dead["source"].value_counts().rows())
    assert by_file.get(str(folder / "stray.csv"), 0) == 0, "a quote in the middle of a cell is text"
    assert by_file[str(folder / "open.csv")] == 3
    assert by_file[str(folder / "twice.csv")] == 30
    assert command("pipelines.audit", str(shop.root / "checkpoint"))[0] == 0


def test_what_waits_is_no_loss_to_the_audit(tmp_path):
    folder = tmp_path / "in"
    write_lines(folder / "1.jsonl", events(20))
    (folder / "2.csv").write_text(f'{HEADER}\nc1,search,2026-03-01T00:00:00Z,u,"open\nand more')
    shop = Shop(tmp_path / "shop", folder, ("--num_shards=2", "--progress=none"))
    assert "wait for their line end" in shop.run_here()[1]
    assert command("pipelines.audit", str(shop.root / "checkpoint"))[0] == 0
    assert shop.run_here("--drain") == (0, "")
    assert command("pipelines.audit", str(shop.root / "checkpoint"))[0] == 0
    assert shop.tables()["lake dead_letters"].filter(pl.col("source").str.ends_with("2.csv")).height == 2
