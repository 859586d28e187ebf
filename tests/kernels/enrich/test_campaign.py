"""Campaigns and channels against a plain-Python reading of the same rules, and GA4's own examples."""

import re
from urllib.parse import parse_qsl, urlsplit

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.enrich.campaign import _HOST, _MANY, CampaignStep, host_of
from ecompulse.kernels.enrich.channels import CHANNELS, CLICK_IDS, channel, site_kind, site_patterns
from support.examples import examples

STEP = CampaignStep(own_domains=("shop.example", "pay.example"), social=("ourforum",))

EXAMPLES = [
    # url, referrer, channel, source, medium, status
    ("https://shop.example/", None, "direct", None, None, "direct"),
    ("https://shop.example/", "", "direct", None, None, "direct"),
    (None, None, None, None, None, "no_key"),
    ("https://shop.example/", "https://www.google.co.uk/", "organic_search", "google.co.uk", "organic", "ok"),
    ("https://shop.example/", "https://google.example.com/", "referral", "google.example.com", "referral", "ok"),
    ("https://shop.example/", "https://mail.google.com/mail/u/0", "email", "mail.google.com", "referral", "ok"),
    ("https://shop.example/", "https://l.facebook.com/", "social", "l.facebook.com", "referral", "ok"),
    ("https://shop.example/", "https://t.co/x", "social", "t.co", "referral", "ok"),
    ("https://shop.example/", "https://not-t.co/x", "referral", "not-t.co", "referral", "ok"),
    ("https://shop.example/", "https://m.ourforum.de/", "social", "m.ourforum.de", "referral", "ok"),
    ("https://shop.example/", "https://www.youtube.com/", "video", "youtube.com", "referral", "ok"),
    ("https://shop.example/", "https://www.amazon.de/", "shopping", "amazon.de", "referral", "ok"),
    ("https://shop.example/", "https://blog.example/", "referral", "blog.example", "referral", "ok"),
    ("https://shop.example/", "https://www.SHOP.example/x", "internal", None, None, "internal"),
    ("https://shop.example/", "https://eu.pay.example/x", "internal", None, None, "internal"),
    ("https://other.example/", "https://other.example/x", "internal", None, None, "internal"),
    ("https://shop.example/", "nonsense", "direct", None, None, "malformed"),
    ("https://shop.example/", "android-app://com.google.android.gm/",
     "email", "com.google.android.gm", "referral", "ok"),
    ("https://shop.example/?gclid=1", "https://www.google.com/", "paid_search", "google", "cpc", "ok"),
    ("https://shop.example/?fbclid=1", None, "social", "facebook", "social", "ok"),
    ("https://shop.example/?ttclid=1", None, "paid_social", "tiktok", "cpc", "ok"),
    ("https://shop.example/?dclid=1", None, "display", "google", "display", "ok"),
    ("https://shop.example/?cjevent=1", None, "affiliate", "cj", "affiliate", "ok"),
    ("https://shop.example/?utm_source=fb&utm_medium=paid&fbclid=1", None, "paid_social", "fb", "paid", "ok"),
    ("https://shop.example/?utm_source=News%20Letter&utm_medium=E-Mail", "https://blog.example/",
     "email", "News Letter", "E-Mail", "ok"),
    ("https://shop.example/#utm_source=x", None, "direct", None, None, "direct"),
    ("https://shop.example/?xutm_source=x&utm_source=", None, "direct", None, None, "direct"),
    ("https://shop.example/?utm_source=x&utm_medium=y", None, "unassigned", "x", "y", "ok"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "referrer", "led", "source", "medium", "status"), EXAMPLES)
def test_examples(events, url, referrer, led, source, medium, status):
    found = STEP.apply(events([{"url": url, "referrer": referrer}]), {})
    assert found.select(
        "campaign_channel", "campaign_source", "campaign_medium", "campaign_status"
    ).row(0) == (led, source, medium, status)  # fmt: skip


GA4 = [
    # source, medium, campaign, channel: rows of Google's table of definitions
    ("direct", "(none)", None, "direct"), ("x", "y", "summer cross-network", "cross_network"),
    ("amazon", "cpc", None, "paid_shopping"), ("x", "ppc", "big shopping day", "paid_shopping"),
    ("x", "cpc", "workshop", "paid_other"), ("x", "cpc", "a-eshop", "paid_shopping"),
    ("google", "cpc", None, "paid_search"), ("facebook", "paid-social", None, "paid_social"),
    ("youtube", "cpv", None, "paid_video"), ("youtube", "cpm", None, "paid_video"),
    ("x", "retargeting", None, "paid_other"),
    ("x", "banner", None, "display"), ("x", "cpm", None, "display"), ("x", "interstitial", None, "display"),
    ("etsy", None, None, "shopping"), ("x", "sm", None, "social"), ("reddit", "referral", None, "social"),
    ("vimeo", None, None, "video"), ("x", "my video ad", None, "video"), ("bing", None, None, "organic_search"),
    ("x", "organic", None, "organic_search"), ("e_mail", None, None, "email"), ("x", "e mail", None, "email"),
    ("x", "affiliate", None, "affiliate"), ("x", "referral", None, "referral"), ("x", "audio", None, "audio"),
    ("sms", "y", None, "sms"), ("x", "web-push", None, "push"), ("x", "mobile app", None, "push"),
    ("x", "notification", None, "push"), ("x", "y", None, "unassigned"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "medium", "name", "led"), GA4)
def test_the_rules_of_ga4_in_their_order(source, medium, name, led):
    row = pl.DataFrame({"s": [source], "m": [medium], "n": [name]}, schema=dict.fromkeys("smn", pl.String))
    kind = site_kind(pl.col("s"), site_patterns({}))
    assert row.select(channel(pl.col("s"), pl.col("m"), pl.col("n"), kind)).item() == led
    assert led in CHANNELS


PARAMETERS = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "utm_id",
    *CLICK_IDS,
    "q",
    "xutm_id",
]
pairs = st.lists(
    st.tuples(
        st.sampled_from(PARAMETERS), st.sampled_from(["", "a", "Gr%C3%BC%C3%9Fe", "a+b", "%26x", "100%25", "cpc"])
    ),
    max_size=6,
)
urls = st.none() | st.tuples(pairs, st.sampled_from(["", "#utm_source=no"])).map(
    lambda p: "https://shop.example/p?" + "&".join(f"{k}={v}" for k, v in p[0]) + p[1]
)


@examples(80)
@given(st.lists(urls, max_size=8))
def test_parameters_equal_a_url_parser(events, links):
    found = STEP.apply(events([{"url": url} for url in links]), {})
    for url, row in zip(links, found.iter_rows(named=True), strict=True):
        given_: dict[str, str] = {}
        for name, value in parse_qsl(urlsplit(url or "").query, keep_blank_values=True):
            given_.setdefault(name, value)
        click = next((name for name in CLICK_IDS if given_.get(name)), None)
        assert row["campaign_click_id_type"] == click
        assert row["campaign_click_id"] == (given_[click] if click else None)
        for column, name in (
            ("name", "utm_campaign"),
            ("term", "utm_term"),
            ("content", "utm_content"),
            ("id", "utm_id"),
        ):
            assert row[f"campaign_{column}"] == (given_.get(name) or None)
        said = CLICK_IDS[click].source if click else None
        assert row["campaign_source"] == (given_.get("utm_source") or said)


@given(st.lists(st.none() | st.text(max_size=30), max_size=5), st.lists(st.none() | st.text(max_size=30), max_size=5))
def test_any_text_is_taken(events, links, referrers):
    rows = [{"url": u, "referrer": r} for u, r in zip(links, referrers, strict=False)]
    found = STEP.apply(events(rows), {})
    assert found.height == len(rows)
    assert set(found["campaign_channel"].drop_nulls()) <= set(CHANNELS)
    assert not found["campaign_status"].null_count()


def test_patterns_are_whole_names():
    patterns = site_patterns({"search": ["my.search"]})
    assert re.search(patterns["search"], "eu.my.search")
    assert not re.search(patterns["search"], "mygoogle.com")


pieces = st.sampled_from(
    [
        "http",
        "https",
        "HTTP",
        "ftp",
        "://",
        ":",
        "/",
        "?",
        "#",
        "@",
        "www.",
        "WWW.",
        "a",
        "Shop.example",
        "[::1]",
        "[",
        "]",
        "8080",
        "é",
        " ",
    ]
)


@examples(300)
@given(st.lists(st.none() | st.lists(pieces, max_size=8).map("".join), max_size=6))
def test_a_host_is_what_the_whole_pattern_says(links):
    urls = pl.Series(links, dtype=pl.String)
    expected = urls.str.extract(_HOST).str.to_lowercase()
    assert host_of(urls).to_list() == expected.to_list()
    times = _MANY // max(1, len(urls)) + 1  # each different one is looked at once then
    assert host_of(pl.concat([urls] * times)).equals(pl.concat([expected] * times), null_equal=True)
