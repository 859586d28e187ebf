"""The pages in a real browser: accessible, without an error, by the keyboard alone, and lively."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from support.process import command

pytestmark = [pytest.mark.night, pytest.mark.slow, pytest.mark.heavy("a browser starts")]

PATHS = ("/", "/jobs/0", "/jobs/1", "/shop", "/shop?span=1d&by=device", "/dead-letters")
PORT = 18_098
AFTER = 1_700_010_000_000
"""Ms; behind the events that the shop has."""


@pytest.fixture
def browser():
    """Debian's Chromium, by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="browser: playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("browser: chromium is not installed")
    with api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def site(place):
    """Where the pages are served."""
    served = [
        sys.executable,
        "-m",
        "ecompulse",
        "ui",
        place / "checkpoints",
        f"--lake={place / 'lake'}",
        f"--port={PORT}",
    ]
    with subprocess.Popen(
        [*served, f"--warehouse=sqlite:///{place / 'w.db'}"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline().startswith(f"ui: http://127.0.0.1:{PORT}/")
        time.sleep(2)
        yield f"http://127.0.0.1:{PORT}"
        server.terminate()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_the_console_is_silent(browser, site, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="browser: axe is not installed").Axe()
    page = browser.new_context(color_scheme=scheme, bypass_csp=True).new_page()
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in PATHS:
        page.goto(site + path)
        page.wait_for_timeout(2500)  # the module has asked again
        wrong = [
            (each["impact"], each["id"], each["nodes"][0]["html"]) for each in axe.run(page).response["violations"]
        ]
        assert (path, wrong, said) == (path, [], [])


def test_a_telephone_needs_no_scrolling_sideways(browser, site):
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    for path in PATHS:
        page.goto(site + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keyboard_alone_reaches_a_filter_and_its_address(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/shop")
    page.focus("#by")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/shop?span=3h&until=&by=country")
    assert page.locator("#by").input_value() == "country"


def test_a_chart_moves_when_the_job_goes_on(browser, site, place):
    page = browser.new_page()
    page.goto(f"{site}/shop")
    rows = [
        {
            "event_id": f"late{at}",
            "event_type": "page_view",
            "event_time": AFTER + at * 5_000,
            "user_id": "u",
        }
        for at in range(60)
    ]
    with (place / "events.jsonl").open("a") as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows))
    job = "realtime_metrics"
    flags = [f"--checkpoint={place / 'checkpoints' / job}", f"--lake={place / 'lake'}", "--drain", "--progress=none"]
    flags += [f"--warehouse=sqlite:///{place / 'w.db'}", f"--source={place / 'events.jsonl'}"]
    assert command(f"pipelines.{job}", *flags)[0] == 0
    with sqlite3.connect(place / "w.db") as warehouse:
        wanted = "metric = 'page_views' and window_size = '1m' and dimensions = '{}' and value > 0"
        start, value = warehouse.execute(
            f"select window_start, value from metrics where {wanted} order by window_start desc"  # noqa: S608
        ).fetchone()
    shown = f"{start[:16].replace('T', ' ')} final: {value}"
    page.wait_for_function("shown => document.querySelector('main').innerHTML.includes(shown)", arg=shown)
