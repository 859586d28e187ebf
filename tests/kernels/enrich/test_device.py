"""Devices: examples, and the accuracy on the shared lists."""

import json

import polars as pl
import pytest

from ecompulse.io.lookups.cache import CachedLookup
from ecompulse.io.lookups.functions import Computed
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich import device
from ecompulse.kernels.enrich.device import AGENT, LIBRARIES, DeviceStep, is_crawler, parse_agents
from ecompulse.kernels.enrich.enrichment import parse_enrich

BLINK = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK} Safari/537.36"
PHONE = f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {BLINK} Mobile Safari/537.36"
TABLET = f"Mozilla/5.0 (Linux; Android 13; SM-X200) {BLINK} Safari/537.36"
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 Version/16.5 Mobile/15E148 Safari/604.1"
CUBOT = f"Mozilla/5.0 (Linux; Android 9; CUBOT_NOTE_7 Build/PPR1) {BLINK} Mobile Safari/537.36"
TELEVISION = "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/538.1 (KHTML, like Gecko) TV Safari/538.1"
EXAMPLES = [
    (CHROME, "desktop", "Chrome", "Windows"),
    (PHONE, "mobile", "Chrome Mobile", "Android"),
    (TABLET, "tablet", "Chrome", "Android"),
    (IPAD, "tablet", "Mobile Safari", "iOS"),
    (CUBOT, "mobile", "Chrome Mobile", "Android"),
    (TELEVISION, "other", None, "Tizen"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", "Googlebot", None),
    ("SomethingNobodyListed/0.1 (+https://example.com/about)", "bot", None, None),
    ("curl/8.5.0", "bot", "curl", None),
    ("ShopApp/5.2.1 (Android 14; Pixel 8) okhttp/4.12.0", "mobile", "okhttp", "Android"),
    ("okhttp/4.12.0", "other", None, None),
    ("Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B)", "mobile", None, "Android"),
    ("Java/17.0.1", "other", None, None),
    ("python-requests/2.31.0", "other", None, None),
    ("Go-http-client/2.0 (+https://example.com/crawl)", "bot", None, None),
    ("Mozilla/5.0 (compatible; SemrushBot/7~bl) okhttp/4", "bot", None, None),
    ("gibberish", "other", None, None),
    ("", "other", None, None),
]


@pytest.mark.parametrize(("agent", "kind", "browser", "system"), EXAMPLES)
def test_examples(agent, kind, browser, system):
    row = parse_agents(pl.Series([agent])).row(0, named=True)
    assert (row["key"], row["class"]) == (agent, kind)
    assert browser is None or row["browser"] == browser
    assert system is None or row["os"] == system


def test_apps_of_the_shop_are_never_bots():
    agents = pl.Series(["ShopBot/1.0 (+https://shop.example)", "curl/8.5.0", "NewBot/1"])
    assert parse_agents(agents)["class"].to_list() == ["bot"] * 3
    assert parse_agents(agents, ("^Shop", r"^curl/8\.")).get_column("class").to_list() == ["other", "other", "bot"]


@pytest.mark.parametrize(("pattern", "said"), [("(", "is no regular expression"), ("", "is empty")])
def test_a_wrong_pattern_of_an_app_is_named(pattern, said):
    with pytest.raises(ConfigError, match=said):
        parse_enrich(f"steps: {{device: {{own_agents: ['x', '{pattern}']}}}}")


def test_each_agent_is_parsed_once_and_kept(events):
    calls = []

    def counted(agents: pl.Series) -> pl.DataFrame:
        calls.append(agents.to_list())
        return parse_agents(agents)

    agents = CachedLookup(Computed(AGENT, counted), "fail")
    batch = events([{"user_agent": agent} for agent in (CHROME, None, "curl/8.5.0", CHROME)])
    for _ in range(2):
        found = DeviceStep().apply(batch, {"user_agent": agents})
        assert found["device_class"].to_list() == ["desktop", None, "bot", "desktop"]
        assert found["device_status"].to_list() == ["ok", "no_key", "ok", "ok"]
    assert [sorted(call) for call in calls] == [sorted([CHROME, "curl/8.5.0"])]


@pytest.mark.parametrize("start", [CHROME, PHONE, "HTC_", "curl/8.5.0", "", "x1"])
@pytest.mark.parametrize(
    "rest", [" " * 64_000, " Mozilla/5.0 (Linux; Android 9; " * 2_000, "\N{COMBINING ACUTE ACCENT}" * 32_000]
)
def test_only_the_beginning_of_a_long_agent_is_read(events, start, rest):
    read = []

    def noted(agents: pl.Series) -> pl.DataFrame:
        read.extend(agents)
        return parse_agents(agents)

    batch = events([{"user_agent": start + rest}, {"user_agent": start}])
    found = DeviceStep().apply(batch, {"user_agent": CachedLookup(Computed(AGENT, noted), "fail")})
    assert sorted(read) == sorted([(start + rest)[: device.LONGEST], start])
    assert found["user_agent"].to_list() == batch["user_agent"].to_list()


def test_crawler_search_equals_the_package_s_own(shared_data):
    import crawleruseragents  # noqa: PLC0415

    texts = (
        _browsers(shared_data)["user_agent"].to_list()[:60] + _crawlers(shared_data)[::20] + ["", "bot", "wget", "WGET"]
    )
    assert is_crawler(pl.Series(texts)).to_list() == [crawleruseragents.is_crawler(text) for text in texts]


def test_accuracy_on_the_shared_lists(shared_data):
    """The crawlers come from the same project as the patterns: this shows completeness, not the unknown."""
    crawlers = parse_agents(pl.Series(_crawlers(shared_data)).unique())
    assert (crawlers["class"] == "bot").mean() >= 0.99
    browsers = _browsers(shared_data).unique("user_agent")
    found = browsers.join(parse_agents(browsers["user_agent"]), left_on="user_agent", right_on="key")
    assert (found["class"] == "bot").mean() < 0.01
    assert (found["class"] == found["device"]).mean() >= 0.99


def _crawlers(data):
    entries = json.loads((data / "agents" / "crawler-user-agents.json").read_text())
    return [text for entry in entries if entry["pattern"] not in LIBRARIES for text in entry.get("instances", [])]


def _browsers(data):
    return pl.DataFrame(json.loads((data / "agents" / "user-agents.json").read_text()))
