"""The pages: complete without JavaScript, equal to what the jobs have written, open to nobody else."""

import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.request

import pytest
import sqlalchemy as sa
from markupsafe import escape

from ecompulse.cli.shipped import shipped_tables
from ecompulse.cli.stores import open_checkpoints
from ecompulse.cli.ui import main as ui
from ecompulse.io.delta.lake import Lake
from ecompulse.io.sinks.database import open_engine
from ecompulse.io.sinks.warehouse_schema import ensure, table_of
from ecompulse.kernels.dictionary.registry import comment_of
from ecompulse.ui import shop
from ecompulse.ui.app import Sources, make_app
from ecompulse.ui.view import View
from support.asgi import get

pytestmark = pytest.mark.slow  # a whole shop

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def sources(place):
    return Sources(
        lambda: open_checkpoints([str(place / "checkpoints")], None, []),
        Lake(str(place / "lake")),
        open_engine(f"sqlite:///{place / 'w.db'}"),
    )


def words(answer):
    assert answer.status == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_all_jobs_are_listed_with_a_link(sources):
    answer = get(make_app(sources), "/")
    assert "realtime_metrics stopped" in words(answer)
    assert 'href="/jobs/1"' in answer.text


def test_a_job_shows_every_epoch_and_where_its_rows_are(place, sources):
    epochs = sorted((place / "checkpoints" / "realtime_metrics" / "commits").iterdir())
    text = words(get(make_app(sources), "/jobs/0"))
    assert f"{len(epochs)} 20" in text  # the last epoch and its time
    assert "counted 180" in text
    assert "dead_letters 1" in text


def test_numbers_of_the_shop_are_those_of_the_warehouse(place, sources):
    page = get(make_app(sources), "/shop").text
    with sqlite3.connect(place / "w.db") as warehouse:
        views = "metric = 'page_views' and window_size = '1m' and dimensions = '{}' and value > 0"
        rows = warehouse.execute(f"select window_start, value from metrics where {views}").fetchall()  # noqa: S608
    assert len(rows) == 60
    for start, value in rows:
        assert f"<title>{start[:16].replace('T', ' ')} final: {value:,.6g}</title>" in page


def test_headings_say_what_a_column_means(sources):
    page = get(make_app(sources), "/shop").text
    for table, column in (("metrics", "value"), ("metrics", "final"), ("metrics", "window_start")):
        heading = f'<th scope="col" title="{escape(comment_of(table, column))}">{column.replace("_", " ")}</th>'
        assert heading in page


@pytest.mark.parametrize("read", [shop._incidents, shop._funnel, shop._carts, shop._fraud])
def test_every_list_of_the_shop_has_columns_that_the_dictionary_knows(read, tmp_path):
    """But for a heading of the list's own."""
    table = {"_incidents": "metric_alerts", "_funnel": "funnels", "_carts": "abandonment_alerts",
             "_fraud": "flagged_transactions"}[read.__name__]  # fmt: skip
    engine = open_engine(f"sqlite:///{tmp_path / 'w.db'}")
    with engine.begin() as connection:
        ensure(connection, table_of(shipped_tables()[table].spec))
        connection.exec_driver_sql(
            f"INSERT INTO {table} (id, job, {about_time(table)}) VALUES ('a', 'j', '2026-01-01T00:00:00.000Z')"  # noqa: S608
        )
        columns, _ = read(connection, View())
    known = [column for column in columns if comment_of(table, column)]
    assert len(known) >= len(columns) - 1


def about_time(table):
    return shipped_tables()[table].spec.time


def test_a_kpi_is_read_by_the_index(place):
    """However many rows there are: metric, window and a range of times are what the index begins with."""
    with sqlite3.connect(place / "w.db") as warehouse:
        wanted = "metric = 'x' and window_size = '1m' and dimensions = '{}' and window_start between '2024' and '2025'"
        asked = f"explain query plan select value from metrics where {wanted}"  # noqa: S608  # a text of this test
        plan = " ".join(row[3] for row in warehouse.execute(asked))
    assert "USING INDEX metrics_by_time (metric=? AND window_size=? AND window_start>? AND window_start<?)" in plan


def test_dead_letters_are_text(sources, place):
    answer = get(make_app(sources), "/dead-letters")
    assert "broken_json" in words(answer)
    assert HOSTILE not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    job = "--job=realtime_metrics --rule=broken_json"
    places = f"--checkpoint={place}/checkpoints/realtime_metrics --lake={place}/lake"
    assert f"<code>ecompulse deadletters replay {job} {places}</code>" in answer.text


def test_a_lake_and_a_warehouse_that_are_not_there_are_said_and_not_made(tmp_path):
    app = make_app(Sources(list, Lake(str(tmp_path / "lake")), open_engine(f"sqlite:///{tmp_path / 'w.db'}")))
    assert f"N/A because {tmp_path / 'w.db'} is not there yet" in words(get(app, "/shop"))
    assert f"N/A because {tmp_path / 'lake'} has no table dead_letters yet" in words(get(app, "/dead-letters"))
    assert not list(tmp_path.iterdir())


def test_a_long_text_is_cut_and_wrapped(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'w.db'}")
    columns = "abandoned_at, kind, status, user_id, visitor, value_base"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE abandonment_alerts ({columns})"))
        row = ("2025-03-01T00:00:00.000Z", "cart", "open", "u" * 61, "v" * 10_000, None)
        connection.exec_driver_sql("INSERT INTO abandonment_alerts VALUES (?, ?, ?, ?, ?, ?)", row)
    page = get(make_app(Sources(list, None, engine)), "/shop").text
    assert f'<td class="long">{"u" * 61}</td><td class="long">{"v" * 299}…</td>' in page


def test_what_has_not_changed_is_not_sent_again(sources):
    app = make_app(sources)
    first = get(app, "/jobs/0")
    again = get(app, "/jobs/0", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.text) == (304, "")


def test_a_page_that_is_not_there_says_so(sources):
    assert get(make_app(sources), "/jobs/99").status == 404
    assert get(make_app(sources), "/elsewhere").status == 404


def test_it_works_below_a_path_of_a_proxy(sources):
    text = get(make_app(sources), "/", root_path="/shop-a").text
    assert 'href="/shop-a/jobs/0"' in text
    assert 'src="/shop-a/static/live.js"' in text
    assert not re.search(r'(href|src)="/(?!shop-a)', text)


def test_nothing_to_show_is_said(tmp_path):
    app = make_app(Sources(list))
    assert "No checkpoint here yet" in words(get(app, "/"))
    assert "N/A because no warehouse was given" in words(get(app, "/shop"))
    assert "N/A because no lake was given" in words(get(app, "/dead-letters"))
    (tmp_path / "none.db").touch()
    empty = open_engine(f"sqlite:///{tmp_path / 'none.db'}")
    assert "N/A because the warehouse has no table metric_alerts yet" in words(
        get(make_app(Sources(list, Lake(str(tmp_path)), empty)), "/shop")
    )


def test_a_broken_warehouse_is_a_line(tmp_path):
    (tmp_path / "w.db").write_text("this is no database, whatever its name says" * 40)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    assert "N/A because the warehouse cannot be read" in words(get(make_app(Sources(list, None, engine)), "/shop"))


def test_a_token_lets_in(sources):
    app = make_app(sources, token="secret")  # noqa: S106  # of this test
    assert get(app, "/").status == 401
    assert get(app, "/?token=wrong").status == 401
    assert get(app, "/", headers={"Authorization": "Bearer secret"}).status == 200
    sent = get(app, "/jobs/0?token=secret")
    assert (sent.status, sent.headers["location"]) == (303, "http://127.0.0.1/jobs/0")
    cookie = sent.headers["set-cookie"].partition(";")[0]
    assert get(app, "/jobs/0", headers={"Cookie": cookie}).status == 200


def test_nothing_comes_from_elsewhere(sources):
    for path in ("/", "/jobs/0", "/shop", "/dead-letters"):
        answer = get(make_app(sources), path)
        assert "http://" not in answer.text.replace("http://127.0.0.1", "")
        assert "https://" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_another_address_needs_a_token(capsys):
    assert ui(["--host=0.0.0.0"]) == 2
    assert "--host: 0.0.0.0 can be reached from elsewhere; give --token" in capsys.readouterr().err


def test_an_address_that_cannot_be_is_a_line_and_none_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flags, said in (
            ([f"--port={port}"], f"ui: --port: 127.0.0.1:{port}: address already in use; give another, or 0 for any"),
            (["--port=65536"], "ui: --port: 65536 is no port; "),
            (["--host=nowhere.invalid", "--token=t"], "ui: --host: nowhere.invalid: "),
        ):
            assert ui([*flags, "--warehouse=none", "--lake=none"]) == 2
            shown = capsys.readouterr()
            assert (shown.out, shown.err.count("\n")) == ("", 1)
            assert shown.err.startswith(said)


def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(capsys):
    assert ui(["--token=schlüssel", "--warehouse=none", "--lake=none"]) == 2
    assert capsys.readouterr().err == (
        "ui: argument --token: has characters that no header can hold; ASCII is understood; see --help\n"
    )


@pytest.mark.parametrize("root", ["shop", "/shop", "/shop/"])
def test_the_address_that_is_printed_is_one_whatever_the_token_and_the_slashes(tmp_path, root):
    flags = [str(tmp_path), "--lake=none", "--warehouse=none", "--port=0", "--token=a b;&#", f"--root_path={root}"]
    command = [sys.executable, "-m", "ecompulse", "ui", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().removeprefix("ui: ").strip()
        finally:
            server.terminate()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/shop/\?token=a%20b%3B%26%23", address)


def test_places_that_are_not_there_are_said_and_the_address_that_is_printed_serves(tmp_path):
    flags = ["nothing", "--lake=nix", "--warehouse=sqlite:///none.db", "--port=0"]
    command = [sys.executable, "-m", "ecompulse", "ui", *flags]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path) as server:
        try:
            address = server.stdout.readline().removeprefix("ui: ").strip()
            with urllib.request.urlopen(address) as answer:  # noqa: S310  # our own
                assert answer.status == 200
            missing = [server.stderr.readline() for _ in range(3)]
        finally:
            server.terminate()
    expected = ("nothing", "--lake: nix", "--warehouse: sqlite:///none.db")
    assert missing == [f"ui: {place} is not there yet\n" for place in expected]


@pytest.mark.night
@pytest.mark.heavy("a browser starts")
def test_a_browser_shows_the_same_and_says_nothing(place, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not installed")
    with subprocess.Popen(
        [sys.executable, "-m", "ecompulse", "ui", place / "checkpoints", f"--lake={place / 'lake'}", "--port=18099",
         f"--warehouse=sqlite:///{place / 'w.db'}"], stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout.readline().startswith("ui: http://127.0.0.1:18099/")
            found = browse(browser, "http://127.0.0.1:18099/jobs/0", tmp_path)
            assert "Where the rows of these epochs are" in found
            assert "as of 20" in found
            assert "not up to date" not in found, "the module runs under its own content policy"
        finally:
            server.terminate()


def browse(browser, url, folder):
    """What a browser makes of a page after five seconds of its time."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--dump-dom"]
    return subprocess.run(
        [browser, *flags, "--virtual-time-budget=5000", url], capture_output=True, text=True, check=True
    ).stdout
