"""Jobs started from the command line, in process: what they print, how they fail, how they go on."""

import io
import json
import shutil
import sqlite3
from contextlib import redirect_stdout

import pytest

from ecompulse.cli.report import reporter
from ecompulse.epochs import state
from ecompulse.epochs.steps import Step, observe
from ecompulse.io.lookups import resources
from support.process import Shop, command, events, write_lines

pytestmark = pytest.mark.slow

QUIET = "--progress=none"


@pytest.fixture
def shop(tmp_path):
    """A shop whose input is a folder with one file of 200 events, of which 8 are bad."""
    made = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--watermark_delay=30s"))
    write_lines(made.source / "1.jsonl", events(200))
    return made


@pytest.fixture
def at():
    """Do something when a step is reached, once."""
    forgets = []

    def once(step, action):
        done = []

        def see(reached):
            if reached is step and not done:
                done.append(step)
                action()

        forgets.append(observe(see))

    yield once
    for forget in forgets:
        forget()


def failed(shop, *flags: str) -> str:
    """What a failure that can be resumed says: one line, exit 1."""
    status, said = shop.run_here(QUIET, *flags)
    assert status == 1
    assert said.count("\n") == 1, said
    assert "Traceback" not in said
    return said


def test_a_second_run_says_that_nothing_is_left_and_new_rows_go_on(shop):
    assert shop.run_here(QUIET) == (0, "")
    status, said = shop.run_here(QUIET)
    assert status == 0
    where = f"checkpoint {shop.root / 'checkpoint'} is at epoch 1"
    advice = "a run from the beginning needs another --checkpoint, and --replace to take the place of these rows"
    assert said == f"event_enrichment: {where}, no new rows; {advice}\n"
    write_lines(shop.source / "2.jsonl", events(50, start=200))
    assert shop.run_here(QUIET, "--drain") == (0, "")
    assert shop.tables()["lake enriched_events"].height == 240


def test_what_waits_for_its_line_end_is_named_and_nothing_is_said_to_be_finished(shop):
    whole, last = write_lines(shop.source / "1.jsonl", events(50)), shop.source / "2.jsonl"
    last.write_text("\n".join(events(3, start=50)))
    waits = f"event_enrichment: {last}: its last {len(last.read_text().splitlines()[2])} bytes wait for their line end"
    for _ in range(2):
        status, said = shop.run_here(QUIET)
        assert (status, said) == (0, f"{waits}; --drain reads them\n")
    assert shop.run_here(QUIET, "--drain") == (0, "")
    assert shop.run_here(QUIET)[1].count("no new rows") == 1
    assert whole.exists()


def test_a_first_run_without_rows_says_where_it_looked(shop):
    for path in shop.source.iterdir():
        path.unlink()
    assert shop.run_here(QUIET) == (0, f"event_enrichment: no rows yet in {shop.source}\n")


def test_progress_off_a_terminal_is_json_lines_only(shop):
    status, out, said = command("pipelines.event_enrichment", *shop.arguments("--max_records_per_epoch=80"))
    assert (status, said) == (0, "")
    shown = [json.loads(line) for line in out.splitlines()]
    rows = [progress["numInputRows"] for progress in shown]
    assert [number for number in rows if number] == [80, 80, 40]
    assert [progress["batchId"] for progress in shown] == list(range(1, len(shown) + 1))
    kept = json.loads((shop.root / "checkpoint" / "commits" / "00000001.json").read_text())
    assert kept["numInputRows"] == 80


def test_a_terminal_gets_one_live_line():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    progress = {
        "batchId": 3,
        "numInputRows": 1000,
        "processedRowsPerSecond": 5000.0,
        "durationMs": {"total": 200},
        "eventTime": {"watermark": None},
        "sink": {"numOutputRows": 990, "tables": {}},
        "counts": {"events": 990},
        "accounts": {"enriched_events": 990, "dead_letters": 10, "held": 0},
        "backlog": 7,
    }
    with redirect_stdout(Terminal()) as terminal:
        reporter("auto")(progress)
        assert not terminal.getvalue().endswith("\n")
        reporter("auto")({**progress, "backlog": 0})
    assert terminal.getvalue().count("\r") == 2
    assert terminal.getvalue().endswith("watermark unknown\n")


def test_a_job_goes_on_when_nobody_reads_its_progress(monkeypatch, tmp_path):
    class Closed(io.TextIOWrapper):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with (tmp_path / "out").open("wb") as handle, redirect_stdout(Closed(handle)):
        reporter("json")({"batchId": 1, "sink": {"tables": {}}, "counts": {}})


def test_once_runs_one_epoch_of_rows(shop):
    shop.flags = (*shop.flags, "--max_records_per_epoch=80", "--trigger=once", QUIET)
    for expected in (80, 160, 200):
        assert shop.run_here() == (0, "")
        tables = shop.tables()
        assert tables["lake enriched_events"].height + tables["lake dead_letters"].height == expected
    assert "no new rows" in shop.run_here()[1]


def test_without_a_lake_the_json_lines_have_everything_and_nothing_is_left_behind(shop):
    shop.flags = (*shop.flags, "--max_records_per_epoch=20", "--keep_epochs=1", QUIET)
    assert shop.run_here("--lake=none", "--drain") == (0, "")
    tables = shop.tables()
    assert not any(name.startswith("lake") for name in tables)
    assert tables["lines enriched_events"].height == 192
    assert tables["lines dead_letters"].height == 8
    checkpoint = shop.root / "checkpoint"
    last = max(int(path.stem) for path in (checkpoint / "commits").iterdir())
    for folder in ("outputs", "runs", "state", "current", "fencing_tokens"):
        for path in (checkpoint / folder).rglob("*"):
            if path.is_dir():
                assert any(path.iterdir()), f"{path} is empty"
    kept = {int(path.name.split("-")[0]) for path in (checkpoint / "outputs").rglob("*.parquet")}
    assert kept <= {last - 1, last}
    assert {int(path.name.split("-")[0]) for path in (checkpoint / "runs").iterdir()} == {last - 1, last}


def test_a_file_that_vanishes_between_plan_and_read(shop, at):
    gone = shop.source / "1.jsonl"
    lines = gone.read_text()
    at(Step.PLANNED, gone.unlink)
    said = failed(shop, "--epoch_attempts=1")  # else the next plan is made without it
    assert f"{gone}: cannot be read: No such file or directory (run it again to go on)" in said
    gone.write_text(lines)
    assert shop.run_here(QUIET, "--drain") == (0, "")
    assert shop.tables()["lake enriched_events"].height == 192


def test_a_file_that_shrank(shop):
    assert shop.run_here(QUIET) == (0, "")
    write_lines(shop.source / "1.jsonl", events(10))
    assert "1.jsonl shrank from " in failed(shop)


def test_a_look_up_that_fails_under_the_policy_fail(shop, tmp_path, at):
    path = tmp_path / "users.db"

    def fill() -> None:
        with sqlite3.connect(path) as made:
            made.execute("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, tier TEXT)")
            made.execute("INSERT OR REPLACE INTO users VALUES ('u1', 'gold')")
        made.close()

    def drop() -> None:
        with sqlite3.connect(path) as made:
            made.execute("DROP TABLE users")
        made.close()

    fill()
    steps = tmp_path / "steps.yaml"
    steps.write_text(f"steps: {{user: {{lookup: 'sqlite:{path}?table=users&key=id', on_error: fail}}}}\n")
    at(Step.READING, drop)
    said = failed(shop, f"--enrich={steps}")
    assert "look-up failed" in said
    assert "no such table: users" in said
    resources.forget()
    fill()
    assert shop.run_here(QUIET, "--drain", f"--enrich={steps}") == (0, "")
    assert shop.tables()["lake enriched_events"].height == 192
    resources.forget()


@pytest.mark.parametrize("harm", ["damage", "remove"])
def test_a_state_file_that_is_not_what_was_sealed(shop, monkeypatch, harm):
    shop.flags = (*shop.flags, "--dedup", "--max_records_per_epoch=80", "--trigger=once", "--num_shards=1")
    assert shop.run_here(QUIET) == (0, "")
    found = next((shop.root / "checkpoint" / "state" / "dedup").rglob("*.arrow"))
    if harm == "damage":
        found.write_bytes(found.read_bytes()[:-9] + b"something")
    else:
        found.unlink()
    monkeypatch.setattr(state, "_cache", state.StateCache())
    said = failed(shop)
    expected = "is damaged: its content is not what was sealed" if harm == "damage" else "is missing"
    assert f"{found} {expected}\n" in said


def test_a_seal_that_is_missing(shop):
    assert shop.run_here(QUIET) == (0, "")
    seal = shop.root / "checkpoint" / "seals" / "00000001.json"
    seal.unlink()
    assert f"{seal} is missing\n" in failed(shop)


def test_a_checkpoint_without_its_identity_is_not_made_anew(shop):
    assert shop.run_here(QUIET) == (0, "")
    (shop.root / "checkpoint" / "meta.json").unlink()
    status, said = shop.run_here(QUIET)
    assert status == 2
    assert "holds no checkpoint" in said


def test_a_lake_that_is_gone_while_the_job_runs_can_be_resumed(shop, at):
    hidden = shop.root / "hidden"
    at(Step.SEALED, lambda: (shop.root / "lake").rename(hidden))
    assert "--lake: " in failed(shop)
    shutil.rmtree(shop.root / "lake", ignore_errors=True)
    hidden.rename(shop.root / "lake")
    assert shop.run_here(QUIET, "--drain") == (0, "")
    assert shop.tables()["lake enriched_events"].height == 192
    assert shop.tables()["lines enriched_events"].height == 192


def test_a_json_lines_file_that_was_cut(shop):
    assert shop.run_here(QUIET) == (0, "")
    next((shop.root / "lines").glob("enriched_events-*.jsonl")).write_text("")
    write_lines(shop.source / "2.jsonl", events(50, start=200))
    assert "was cut: it has fewer than the" in failed(shop)


def test_an_error_that_nobody_foresaw_is_one_line_too(shop, monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a mistake of ours\nwith more lines")

    monkeypatch.setattr("ecompulse.epochs.driver.Driver._finish", fail)
    said = failed(shop)
    assert said == "event_enrichment: ZeroDivisionError: a mistake of ours (ECOMPULSE_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("ECOMPULSE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        shop.run_here(QUIET)
