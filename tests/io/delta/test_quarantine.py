"""One bad data file does not stop its table: it is a dead letter, and is tried again when it changes."""

import gzip
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.epochs.protocols import Backlog
from ecompulse.io.delta import DeltaSource
from ecompulse.io.s3 import storage_options
from ecompulse.kernels.decode import decode
from ecompulse.runners.engine import find_prism
from pipelines import audit
from services import s3
from support.marks import nightly
from support.process import Shop, events

pytestmark = pytest.mark.slow

FILES, ROWS = 3, 40


def table(place: str, options: dict[str, str] | None = None) -> None:
    for number in range(FILES):
        lines = [line for line in events(ROWS, ROWS * number) if '"cheap"' not in line]
        frame = pl.read_ndjson("\n".join(lines).encode()).with_columns(day=pl.lit(f"day {number}"))
        write_deltalake(place, frame, mode="append", partition_by=["day"], storage_options=options)


def flipped(data: bytes) -> bytes:
    """The pages of the first columns are rubbish, the footer is whole."""
    return data[:4] + b"\xa5" * (len(data) // 3) + data[4 + len(data) // 3 :]


def other(data: bytes) -> bytes:
    made = Path("other.parquet")
    pl.DataFrame({"event_id": ["x"]}).write_parquet(made)
    return made.read_bytes()


BAD = {
    "missing": None,
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "rubbish": lambda _: b"PAR1 no table PAR1",
    "flipped": flipped,
    "other": other,
}


class Disk:
    """A table in a directory, whose files are damaged and mended."""

    def __init__(self, place: Path) -> None:
        self.uri, self.endpoint = str(place), None
        table(self.uri)
        self.files = DeltaTable(self.uri).file_uris()

    def read(self, uri: str) -> bytes:
        return Path(uri).read_bytes()

    def write(self, uri: str, data: bytes | None) -> None:
        Path(uri).unlink(missing_ok=True)
        if data is not None:
            Path(uri).write_bytes(data)


class Bucket:
    """The same in a bucket."""

    def __init__(self, client: Any, url: str) -> None:
        self.client, self.uri, self.endpoint = client, "s3://tables/t", url
        options = storage_options(self.uri, url)
        table(self.uri, options)
        self.files = DeltaTable(self.uri, storage_options=options).file_uris()

    def read(self, uri: str) -> bytes:
        found: bytes = self.client.get_object(Bucket="tables", Key=urlsplit(uri).path[1:])["Body"].read()
        return found

    def write(self, uri: str, data: bytes | None) -> None:
        key = urlsplit(uri).path[1:]
        if data is None:
            self.client.delete_object(Bucket="tables", Key=key)
        else:
            self.client.put_object(Bucket="tables", Key=key, Body=data)


CASES = nightly(
    [(where, kind) for where in ("directory", "bucket") for kind in BAD],
    [("bucket", "missing"), *(("directory", kind) for kind in BAD)],
)


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if request.param == "directory":
        yield Disk(tmp_path / "t")
        return
    server = request.getfixturevalue("moto")
    for key, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    client = s3.client(server)
    client.create_bucket(Bucket="tables")
    yield Bucket(client, server.facts["url"])
    for found in client.list_objects_v2(Bucket="tables").get("Contents", ()):
        client.delete_object(Bucket="tables", Key=found["Key"])
    client.delete_bucket(Bucket="tables")


def audited(source: DeltaSource, backlog: Backlog) -> list[pl.DataFrame]:
    """What a plan reads; JobError, as of a driver, when that are other rows than planned."""
    frames = [frame for split in backlog.splits for frame in source.reader().read(split)]
    if sum(frame.height for frame in frames) != sum(split.rows for split in backlog.splits):
        raise JobError("other rows than planned")
    return frames


def epoch(source: DeltaSource, positions: dict, max_rows: int = 1000, attempts: int = 2):
    """Good rows and letters of one epoch, which may be run again as a driver does."""
    backlog = source.plan(positions, max_rows, {}, whole=True)
    try:
        frames = audited(source, backlog)
    except JobError:
        if attempts == 1:
            raise
        return epoch(source, positions, max_rows, attempts - 1)
    found = [decode(frame, 1_800_000_000_000) for frame in frames]
    positions |= backlog.positions
    ids = [event for each in found for event in each.events["event_id"]]
    letters = [row for each in found for row in each.dead.select("source", "rule", "message").rows()]
    return ids, letters, backlog


@pytest.mark.parametrize(("place", "kind"), CASES, indirect=["place"])
def test_a_bad_data_file_is_one_dead_letter_and_is_read_when_it_is_mended(place, kind):
    whole, _, _ = epoch(DeltaSource(place.uri, 0, endpoint=place.endpoint), {})
    bad = next(uri for uri in place.files if "day%201" in uri or "day 1" in uri)
    good = place.read(bad)
    place.write(bad, BAD[kind](good) if BAD[kind] else None)
    source, positions = DeltaSource(place.uri, 0, endpoint=place.endpoint), {}
    ids, letters, backlog = epoch(source, positions)
    assert [(uri.rpartition("/")[2], rule) for uri, rule, _ in letters] == [(bad.rpartition("/")[2], "unreadable_file")]
    assert backlog.left == 0
    assert list(backlog.notes["unreadable"]) == [letters[0][0]]
    assert len(ids) < len(whole)
    for again in (source, DeltaSource(place.uri, 0, endpoint=place.endpoint)):
        assert not again.plan(positions, 1000, {}, whole=True).splits
    with pytest.raises(JobError, match="parquet"):
        epoch(DeltaSource(place.uri, 0, endpoint=place.endpoint, on_bad_file="stop"), {})
    place.write(bad, good)
    later, last = [], None
    while last is None or last.splits:
        more, letters, last = epoch(source, positions, max_rows=15)
        later += more
        assert letters == []
    assert sorted(ids + later) == sorted(whole)
    assert "unreadable" not in last.notes


def test_a_job_on_a_table_with_a_bad_file_accounts_for_every_row(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    place = Disk(tmp_path / "t")
    keep = place.files[0], place.read(place.files[0])
    place.write(place.files[0], None)
    place.write(place.files[1], flipped(place.read(place.files[1])))
    shop = Shop(tmp_path / "shop", tmp_path / "t", ("--progress=none", "--max_records_per_epoch=30"))
    status, said = shop.run_here()
    assert (status, said.count("it is tried again when it changes")) == (0, 2), said
    capsys.readouterr()
    assert audit.main([str(shop.root / "checkpoint")]) == 0
    told = capsys.readouterr().out
    assert all(uri.rpartition("/")[2] in told for uri in place.files[:2])
    before = DeltaTable(str(shop.root / "lake" / "enriched_events")).to_pyarrow_table().num_rows
    place.write(*keep)
    assert shop.run_here()[0] == 0
    after = DeltaTable(str(shop.root / "lake" / "enriched_events")).to_pyarrow_table().num_rows
    assert after > before
    assert audit.main([str(shop.root / "checkpoint")]) == 0
    shutil.rmtree(tmp_path / "t")


@pytest.mark.heavy("a job on another engine, which starts")
@pytest.mark.night
@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner", "PySparkRunner"])
def test_bad_files_are_set_aside_on_every_engine(tmp_path, runner):
    """Damage that only shows when rows are read fails a run of the engine first."""
    if runner == "PrismRunner":
        try:
            find_prism()
        except UserError as error:
            pytest.skip(str(error))
    place = Disk(tmp_path / "t")
    place.write(place.files[0], None)
    place.write(place.files[1], flipped(place.read(place.files[1])))
    (tmp_path / "in").mkdir()
    whole = "\n".join(events(ROWS, 1000)).encode() + b"\n"
    (tmp_path / "in" / "cut.jsonl.gz").write_bytes(gzip.compress(whole)[:-20])
    (tmp_path / "in" / "good.jsonl").write_bytes(whole)
    found = {}
    for engine in ("LocalRunner", runner):
        spark = ("--spark_master=local[2]", "--shared_filesystem") if engine == "PySparkRunner" else ()
        more = (f"--source={tmp_path / 'in'}", f"--runner={engine}", "--progress=none", "--drain", *spark)
        shop = Shop(tmp_path / engine, tmp_path / "t", more)
        status, said = shop.run_here() if engine == "LocalRunner" else shop.run()
        assert (status, said.count("it is tried again when it changes")) == (0, 3), said
        assert audit.main([str(shop.root / "checkpoint"), "--brief"]) == 0
        lake = shop.root / "lake"
        letters = pl.read_delta(str(lake / "dead_letters")).select("source", "rule", "message", "source_offset", "id")
        found[engine] = pl.read_delta(str(lake / "enriched_events"))["event_id"].sort(), letters.sort("id")
    for mine, theirs in zip(*found.values(), strict=True):
        assert mine.equals(theirs)
    assert found[runner][1].filter(rule="unreadable_file").height == 3
