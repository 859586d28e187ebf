"""Dead letters: listed, shown, given back to the job after a mend, each once, whatever happens in between."""

import json
import signal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ecompulse.epochs.steps import Step
from support.process import Shop, command, write_lines

pytestmark = pytest.mark.slow

QUIET = "--progress=none"
DAY = "2026-03-01"
WRONG = "fields: {}\n"
RIGHT = "time: {zone: UTC}\n"


def lines(count: int):
    """Every third row has a time without zone, which only the right mapping reads; every tenth is beyond help."""
    for number in range(count):
        at = f"{DAY}T10:{number // 60:02d}:{number % 60:02d}{'' if number % 3 == 0 else 'Z'}"
        row = {"event_id": f"e{number}", "event_type": "search", "user_id": f"u{number % 7}", "event_time": at}
        yield json.dumps(row) if number % 10 else "no json"


@pytest.fixture
def shop(tmp_path):
    made = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", QUIET))
    write_lines(made.source / "1.jsonl", lines(100))
    return made


def mapping(shop: Shop, text: str) -> str:
    path = shop.root.parent / "mapping.yaml"
    path.write_text(text)
    return f"--mapping={path}"


def tool(shop: Shop, *arguments: str, status: int = 0) -> str:
    found, out, said = command("pipelines.deadletters", *arguments, f"--lake={shop.root / 'lake'}")
    assert found == status, said
    return said if status else out


def replay(shop: Shop, *flags: str) -> str:
    return tool(shop, "replay", f"--checkpoint={shop.root / 'checkpoint'}", *flags)


def rows(shop: Shop, table: str = "enriched_events") -> pl.DataFrame:
    tables = shop.tables()
    assert tables[f"lake {table}"].height == tables[f"lines {table}"].height
    return tables[f"lake {table}"]


@pytest.fixture
def answer(shop, tmp_path):
    """What a run with the right mapping from the start gives."""
    right = Shop(tmp_path / "right", shop.source, shop.flags)
    assert right.run_here(mapping(shop, RIGHT)) == (0, "")
    assert rows(right).height == 90
    return rows(right)


@pytest.fixture
def wrong(shop):
    """A shop that was run with the wrong mapping."""
    assert shop.run_here(mapping(shop, WRONG)) == (0, "")
    assert rows(shop).height == 60
    assert rows(shop, "dead_letters").height == 40
    return shop


def test_letters_are_counted_and_shown(wrong):
    listed = tool(wrong, "list")
    assert "wrong_type" in listed
    assert "broken_json" in listed
    assert sum(json.loads(line)["letters"] for line in tool(wrong, "list", "--format=json").splitlines()) == 40
    [count] = tool(wrong, "list", "--rule=broken_json", "--format=json").splitlines()
    assert json.loads(count)["letters"] == 10
    assert "broken_json" not in tool(wrong, "list", "--day=2020-01-01")
    shown = [json.loads(line) for line in tool(wrong, "show", "--rule=broken_json", "--format=json").splitlines()]
    assert [letter["raw"] for letter in shown] == ["no json"] * 10
    assert {letter["source"] for letter in shown} == {str(wrong.source / "1.jsonl")}
    assert len(tool(wrong, "show", "--limit=3", "--format=json").splitlines()) == 3
    assert "no json" in tool(wrong, "show", "--limit=1000")
    assert len(tool(wrong, "show", "--format=json").splitlines()) == 40
    said = command("pipelines.deadletters", "show", f"--lake={wrong.root / 'lake'}")[2]
    assert said == "deadletters: the first 20 rows; --limit=N for more\n"
    assert len(tool(wrong, "list", "--limit=1", "--format=json").splitlines()) == 1
    assert tool(wrong, "show", "--source=elsewhere", "--format=json") == ""


def test_after_a_mend_a_replay_gives_what_a_right_run_gives_and_a_second_one_nothing(wrong, answer):
    assert replay(wrong, "--dry_run").startswith("40 dead letters would be queued")
    assert replay(wrong, "--rule=broken_json", "--limit=4").startswith("4 dead letters are queued in ")
    assert replay(wrong).startswith("36 dead letters are queued in ")
    assert replay(wrong).startswith("0 dead letters are queued in ")
    right = mapping(wrong, RIGHT)
    assert wrong.run_here(right) == (0, "")
    assert_frame_equal(rows(wrong), answer)
    assert rows(wrong, "dead_letters").height == 40 + 10  # those beyond help died again
    assert replay(wrong, "--rule=wrong_type").startswith("0 dead letters are queued")
    assert "no new rows" in wrong.run_here(right)[1]
    assert replay(wrong).startswith("10 dead letters are queued")  # who died again may be tried again
    assert wrong.run_here(right) == (0, "")
    assert_frame_equal(rows(wrong), answer)
    assert rows(wrong, "dead_letters").height == 60


def test_a_replay_goes_on_beside_new_rows_and_is_shown_in_the_progress(wrong, tmp_path):
    replay(wrong, "--rule=wrong_type")
    write_lines(wrong.source / "2.jsonl", ('{"event_id": "new", "event_type": "search", "user_id": "u", '
                f'"event_time": "{DAY}T11:00:00Z"}}' for _ in range(1)))  # fmt: skip
    status, out, _ = command("pipelines.event_enrichment", *wrong.arguments("--progress=json", mapping(wrong, RIGHT)))
    assert status == 0
    [epoch] = [json.loads(line) for line in out.splitlines()]
    assert [(source["role"], source["numInputRows"]) for source in epoch["sources"]] == [("events", 1), ("replay", 30)]
    assert epoch["batchId"] == 2
    assert rows(wrong).height == 91


@pytest.mark.parametrize("step", [Step.RAN, Step.SEALED, Step.LAKE_COMMITTED, Step.PUBLISHED])
def test_killed_in_the_middle_of_a_replay(wrong, answer, step):
    replay(wrong)
    right = mapping(wrong, RIGHT)
    status, said = wrong.run(right, crash_at=step)
    assert status == -signal.SIGKILL, said
    assert replay(wrong, "--rule=wrong_type").startswith("0 dead letters are queued")
    assert wrong.run_here(right)[0] == 0
    assert_frame_equal(rows(wrong), answer)
    assert rows(wrong, "dead_letters").height == 50


def test_rows_of_csv_come_back_with_their_header(tmp_path):
    shop = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", QUIET))
    text = ["event_id,event_type,user_id,event_time"]
    text += [f"e{number},search,u1,{DAY} 10:00:{number:02d}" for number in range(20)]
    write_lines(shop.source / "1.csv", text)
    assert shop.run_here(mapping(shop, WRONG)) == (0, "")
    assert rows(shop, "dead_letters").height == 20
    assert replay(shop).startswith("20 dead letters are queued")
    assert shop.run_here(mapping(shop, 'time: {format: "%Y-%m-%d %H:%M:%S", zone: UTC}\n')) == (0, "")
    assert rows(shop)["event_id"].n_unique() == 20
    assert rows(shop)["source"].unique().to_list() == [str(shop.source / "1.csv")]
    assert sorted(rows(shop)["source_offset"]) == sorted(rows(shop, "dead_letters")["source_offset"])
    (shop.source / "2.csv").write_text("event_id,event_type\ne,search\n")
    assert shop.run_here(mapping(shop, WRONG)) == (0, "")
    (shop.source / "2.csv").unlink()
    assert "1 are rows of CSV files that are gone" in replay(shop, f"--source={shop.source / '2.csv'}")


def test_rows_that_the_privacy_policy_changed_and_rows_of_update_streams_are_not_replayed(tmp_path):
    steps = tmp_path / "steps.yaml"
    steps.write_text("steps: {user: {columns: {tier: text}}, pii: {ip: mask}}\n")
    updates = write_lines(tmp_path / "updates" / "1.jsonl", ['{"user_id": "u1", "updated_at": "never"}'])
    shop = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", QUIET, f"--enrich={steps}"))
    shop.flags = (*shop.flags, f"--user_updates={updates}")
    bad = {"event_id": "e", "event_type": "search", "event_time": "x"}
    write_lines(shop.source / "1.jsonl", [json.dumps({**bad, "ip": "1.2.3.4"}), "no json", json.dumps(bad)])
    assert shop.run_here()[0] == 0
    said = replay(shop)
    assert said.startswith("1 dead letters are queued")
    assert "2 hold what the privacy policy hid" in said
    assert "1 are rows of an update stream" in said


def test_wrong_use_is_one_line(wrong, tmp_path):
    for arguments, message in (
        (("replay",), "--checkpoint"),
        (("replay", f"--checkpoint={tmp_path}"), "holds no checkpoint"),
        (("replay", f"--checkpoint={wrong.root / 'checkpoint'}", "--job=other"), "is a checkpoint of event_enrichment"),
        (("show", "--limit=-1"), "--limit: must not be below zero"),
        (("forget",), "invalid choice"),
    ):
        said = tool(wrong, *arguments, status=2)
        assert message in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("verb", ["fork", "reshard", "restore"])
def test_what_was_replayed_is_known_to_checkpoints_made_from_this_one(wrong, tmp_path, verb):
    backup = f"--checkpoint_backup={tmp_path / 'backup'}"
    replay(wrong, "--rule=wrong_type")
    assert wrong.run_here(mapping(wrong, RIGHT), backup) == (0, "")
    source = tmp_path / "backup" if verb == "restore" else wrong.root / "checkpoint"
    flags = ["--num_shards=3"] if verb == "reshard" else []
    status, _, said = command("pipelines.checkpoint", verb, str(source), f"--to={tmp_path / 'new'}", *flags)
    assert (status, said) == (0, "")
    new = f"--checkpoint={tmp_path / 'new'}"
    assert tool(wrong, "replay", new, "--rule=wrong_type").startswith("0 dead letters are queued")
    assert tool(wrong, "replay", new, "--rule=broken_json").startswith("10 dead letters are queued")
    other = [f"--lake={tmp_path / 'lake'}", "--warehouse=none", new, "--num_shards=3" if flags else "--num_shards=2"]
    arguments = [f"--source={wrong.source}", QUIET, mapping(wrong, RIGHT), *other]
    assert command("pipelines.event_enrichment", *arguments)[0] == 0
    commits = sorted((tmp_path / "new" / "commits").iterdir())
    assert json.loads(commits[-1].read_text())["counts"]["input"] == 10


def test_a_checkpoint_from_before_there_were_replays_goes_on(wrong, answer):
    for path in (wrong.root / "checkpoint" / "seals").iterdir():
        seal = json.loads(path.read_text())
        del seal["sha256"]  # which they had not either
        path.write_text(json.dumps({**seal, "positions": seal["positions"][:1]}))
    replay(wrong, "--rule=wrong_type")
    assert wrong.run_here(mapping(wrong, RIGHT)) == (0, "")
    assert_frame_equal(rows(wrong), answer)


def visit(number: int, zone: str = "Z") -> str:
    at = f"{DAY}T10:{number // 6:02d}:{number % 6}0{zone}"
    row = {"event_id": f"e{number}", "event_type": "page_view", "user_id": f"u{number % 5}", "event_time": at}
    return json.dumps(row)


def test_a_replay_meets_the_state_that_its_neighbours_left(tmp_path):
    flags = ("--num_shards=2", QUIET, "--watermark_delay=1h")
    shop = Shop(tmp_path / "shop", tmp_path / "input", flags, job="session_analytics")
    right = Shop(tmp_path / "right", tmp_path / "input", flags, job="session_analytics")
    write_lines(shop.source / "1.jsonl", [visit(number, "" if number % 4 == 0 else "Z") for number in range(200)])
    assert right.run_here("--drain", mapping(shop, RIGHT)) == (0, "")
    assert shop.run_here(mapping(shop, WRONG)) == (0, "")
    assert replay(shop).startswith("50 dead letters are queued")
    assert shop.run_here("--drain", mapping(shop, RIGHT)) == (0, "")
    assert_frame_equal(rows(shop, "sessions"), rows(right, "sessions"))
    assert_frame_equal(rows(shop, "session_events"), rows(right, "session_events"))


def test_a_replayed_row_whose_window_is_closed_is_a_late_event(tmp_path):
    flags = ("--num_shards=2", QUIET, "--watermark_delay=1s")
    shop = Shop(tmp_path / "shop", tmp_path / "input", flags, job="session_analytics")
    write_lines(shop.source / "1.jsonl", [visit(number, "" if number == 0 else "Z") for number in range(200)])
    assert shop.run_here("--drain", mapping(shop, WRONG)) == (0, "")
    before = rows(shop, "sessions")
    assert replay(shop).startswith("1 dead letters are queued")
    assert shop.run_here("--drain", mapping(shop, RIGHT))[0] == 0
    assert rows(shop, "late_events")["event_id"].to_list() == ["e0"]
    assert_frame_equal(rows(shop, "sessions"), before)
