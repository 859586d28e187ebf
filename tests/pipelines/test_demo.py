"""The demo: no table is empty, what it says to try next runs, its report tells of it, the analyst has answers."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import polars as pl
import pytest
import yaml

from ecompulse.cli import demo
from ecompulse.cli.demo_report import planted_in
from ecompulse.cli.show import ask
from ecompulse.io.delta.lake import Lake
from services.dbt import dbt
from services.fixtures import missing
from services.server import Unavailable
from support.process import command

pytestmark = [pytest.mark.slow, pytest.mark.heavy("four jobs, one after the other")]

CONFIGS = Path(__file__).parents[2] / "runner_configs"
DOC = Path(__file__).parents[2] / "docs" / "questions.md"
QUESTIONS = dict(re.findall(r"## (.*?)\n\n```sql\n(.*?)```", DOC.read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A smaller demo, its jobs run in this process; what it printed, and where it is."""
    out = tmp_path_factory.mktemp("made") / "demo"

    def here(job, flags):
        status, shown, said = command(f"pipelines.{job}", *flags, "--num_shards=2")
        assert (status, said.count("Traceback")) == (0, 0), said
        return shown.splitlines()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "run_job", here)
        status, shown, said = command("ecompulse.cli.demo", f"--out={out}", "--events=8000")
    assert status == 0, said
    return out, shown


def test_no_table_is_empty_and_nothing_is_lost(made):
    out, shown = made
    listed = re.findall(r"^\| (\w+) +(\d+) ", shown, re.MULTILINE)
    assert len(listed) == 14
    assert [name for name, rows in listed if rows == "0"] == []
    assert shown.count("every one is accounted for") == 4
    lines = sum(len(path.read_bytes().splitlines()) for path in (out / "shop" / "events").iterdir())
    assert re.search(rf"simulated +{lines:,} lines", shown)
    assert re.search(rf"session_analytics +{lines:,} rows", shown)


def test_its_lines_to_try_next_are_those_that_it_prints_and_each_shows_something(made):
    out, shown = made
    printed = [line.strip() for line in shown.split("Try next:\n")[1].splitlines()]
    assert printed == demo.try_next(out)
    for line in printed:
        python, flag, package, tool, *arguments = shlex.split(line)
        assert (Path(python).name[:6], flag, package) == ("python", "-m", "ecompulse")
        status, told, said = command(f"ecompulse.cli.{tool}", *arguments)
        assert (status, said) == (0, ""), line
        assert len(told.splitlines()) > 3, line


@pytest.mark.night
def test_each_line_runs_in_a_shell_as_it_is_printed(made):
    for line in demo.try_next(made[0]):
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602  # that is the test
        assert (done.returncode, done.stderr) == (0, ""), line


class Page(HTMLParser):
    """What a page refers to, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.refers, self.texts, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.refers += [value for name, value in attrs if name in {"src", "href", "data"}]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_report_is_one_file_with_plots_that_needs_nothing_else(made):
    out, shown = made
    assert f"in one file: {out / 'report.html'}" in shown
    page = Page()
    page.feed((out / "report.html").read_text())
    assert [refer for refer in page.refers if refer != "data:,"] == []
    assert "script" not in page.tags
    assert page.tags.count("svg") >= 9
    text = " ".join(page.texts)
    for said in ("rows a second", "Sessions by hour", "Funnel", "Revenue by hour", "Revenue by country", "DE",
                 "checkout_outage", "traffic_collapse", "card_testing", "missing_required"):  # fmt: skip
        assert said in text, said
    planted = planted_in(out / "shop")
    assert set(planted["episode"]) >= {"checkout_outage", "traffic_collapse"}


def test_there_are_five_questions():
    assert len(QUESTIONS) == 5


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_analysts_questions_have_the_same_answer_in_the_lake_and_in_the_warehouse(made, question):
    out, _ = made
    sql = QUESTIONS[question]
    lake = ask(Lake(str(out / "lake")), sql, 10_000)
    with sqlite3.connect(out / "warehouse.db") as warehouse:
        found = warehouse.execute(sql)
        names = [column[0] for column in found.description]
        rows = found.fetchall()
    assert lake.columns == names
    assert lake.height == len(rows) > 0
    for name, dtype in lake.schema.items():
        theirs = [row[names.index(name)] for row in rows]
        if dtype.is_numeric():
            given = [None if value is None else float(value) for value in lake[name]]
            assert given == pytest.approx([None if value is None else float(value) for value in theirs])
        elif dtype == pl.String:
            assert lake[name].to_list() == theirs, name


def test_the_answers_are_right(made):
    lake = Lake(str(made[0] / "lake"))
    answer = ask(lake, QUESTIONS["What came in today, by country?"], 1000)
    sessions = ask(lake, "SELECT * FROM sessions", 1_000_000)
    today = sessions.filter(pl.col("session_start").dt.date() == pl.date(2025, 9, 1))
    assert answer["sessions"].sum() == today.height
    assert answer["revenue"].sum() == today["revenue_base"].sum()
    lost = ask(lake, QUESTIONS["Was anything lost?"], 1000)
    dead = ask(lake, "SELECT job, rule, count(*) AS n FROM dead_letters GROUP BY job, rule", 1000)
    told = lost.filter(pl.col("check_name") == "schema_violation")
    assert sorted(told.select("job", "subject", "rows_set_aside").rows()) == sorted(dead.rows())


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").touch()
    assert demo.main([f"--out={tmp_path}"]) == 2
    assert "was not made by the demo" in capsys.readouterr().err
    assert (tmp_path / "mine").exists()


def test_a_file_in_the_place_of_the_folder_is_wrong_use(tmp_path, capsys):
    (tmp_path / "mine").touch()
    assert demo.main([f"--out={tmp_path / 'mine'}"]) == 2
    assert capsys.readouterr().err == f"demo: --out: {tmp_path / 'mine'}: Not a directory\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rate=5"], "--rate: says nothing without --live"),
        (["--live", "--events=5"], "--events: says nothing with --live"),
    ],
)
def test_a_flag_that_would_say_nothing_is_wrong_use(tmp_path, capsys, flags, said):
    assert demo.main([f"--out={tmp_path / 'demo'}", *flags]) == 2
    assert capsys.readouterr().err == f"demo: {said}\n"
    assert not (tmp_path / "demo").exists()


@pytest.mark.night
def test_dbt_parses_the_sources_and_its_tests_hold_on_the_demo(made, tmp_path):
    out, _ = made
    project = shutil.copytree(CONFIGS / "dbt", tmp_path / "dbt")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        for table in yaml.safe_load((project / "models" / "sources.yml").read_text())["sources"][0]["tables"]:
            rows = ask(Lake(str(out / "lake")), f"SELECT * FROM {table['name']}_latest", 1_000_000)  # noqa: S608
            connection.register("rows_of_table", rows)
            connection.execute(f"CREATE TABLE {table['name']} AS SELECT * FROM rows_of_table")  # noqa: S608
    target = {"type": "duckdb", "path": str(tmp_path / "warehouse.duckdb"), "schema": "main"}
    profile = {"ecompulse": {"target": "here", "outputs": {"here": target}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))
    for arguments in (("parse",), ("test", "--vars", "{ecompulse_schema: main}")):
        try:
            done = dbt(project, *arguments)
        except Unavailable as error:
            missing("dbt", str(error))
        assert done.returncode == 0, done.stdout
        assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout
    assert "37 data tests" in done.stdout or int(re.search(r"PASS=(\d+)", done.stdout)[1]) > 30
