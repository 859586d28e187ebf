"""Sites by kind, click ids, and the rules that make a channel of source, medium and campaign.

Rules: Google Analytics 4, "Default channel group" (support.google.com/analytics/answer/9756891), in its
order; the first that holds decides. Google's own list of sites is replaced by the short one below, which
`--enrich` extends. Differences, each for a stream that is not Google's:
- `internal` for one's own pages, which GA4 never calls a source;
- click ids of other networks than Google give source and medium as if tagged (GA4 only knows gclid and its kin);
- a referrer that is a mail reader is `email`, one that is a shop, social or video site needs no tag;
- medium `affiliates` and `partner` count as `affiliate`; `retargeting` as paid (GA4 has it since 2023);
- no Google Ads data: `cross_network` by the campaign's name only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

SITES: Final[Mapping[str, tuple[str, ...]]] = {
    "mail": (
        "mail.google.com", "mail.yahoo.com", "mail.yandex.ru", "outlook.live.com", "outlook.office.com",
        "outlook.office365.com", "mail.aol.com", "mail.proton.me", "mail.163.com", "mail.qq.com",
        "e.mail.ru", "com.google.android.gm", "webmail.free.fr", "navigator.gmx.net", "navigator.web.de",
    ),
    "shopping": (
        "amazon", "ebay", "etsy", "walmart", "aliexpress", "alibaba", "shopzilla", "pricegrabber", "idealo",
        "shopping.google.com", "shopping.yahoo.com", "shopping.yahoo.co.jp", "rakuten", "mercadolibre",
        "taobao", "shopee", "temu", "zalando", "igshopping", "shop.app",
    ),
    "video": (
        "youtube", "youtu.be", "vimeo", "twitch", "dailymotion", "netflix", "hulu", "iqiyi", "youku",
        "disneyplus",
    ),
    "search": (
        "google", "bing", "yahoo", "duckduckgo", "baidu", "yandex", "ya.ru", "ecosia", "qwant", "startpage",
        "naver", "daum", "seznam", "sogou", "so.com", "brave", "search.brave.com", "ask", "aol", "dogpile",
        "kagi", "lycos", "com.google.android.googlequicksearchbox", "biglobe", "babylon", "avg",
        "swisscows", "mojeek",
    ),
    "social": (
        "facebook", "fb", "fb.me", "instagram", "ig", "twitter", "t.co", "x.com", "linkedin", "lnkd.in",
        "pinterest", "pin.it", "reddit", "tiktok", "snapchat", "threads", "threads.net", "whatsapp",
        "wa.me", "telegram", "t.me", "vk", "ok.ru", "quora", "tumblr", "weibo", "wechat", "line.me",
        "discord", "mastodon.social", "bsky.app", "news.ycombinator.com", "com.facebook.katana",
        "com.instagram.android", "com.linkedin.android", "com.twitter.android", "org.telegram.messenger",
        "com.pinterest", "messenger.com", "xing", "kakao",
    ),
}  # fmt: skip
"""Kinds in the order of their test: a mail reader under a search engine's domain is a mail reader."""


@dataclass(frozen=True)
class ClickId:
    """A parameter that an advertising network adds to a link, and what it says of it.

    Attributes:
        source: the network.
        medium: what the click was; `fbclid` is on every link out of Facebook, paid or not.
    """

    source: str
    medium: str


CLICK_IDS: Final[Mapping[str, ClickId]] = {
    "gclid": ClickId("google", "cpc"),
    "gbraid": ClickId("google", "cpc"),
    "wbraid": ClickId("google", "cpc"),
    "dclid": ClickId("google", "display"),
    "msclkid": ClickId("bing", "cpc"),
    "yclid": ClickId("yandex", "cpc"),
    "ttclid": ClickId("tiktok", "cpc"),
    "twclid": ClickId("twitter", "cpc"),
    "li_fat_id": ClickId("linkedin", "cpc"),
    "ScCid": ClickId("snapchat", "cpc"),
    "rdt_cid": ClickId("reddit", "cpc"),
    "epik": ClickId("pinterest", "social"),
    "fbclid": ClickId("facebook", "social"),
    "igshid": ClickId("instagram", "social"),
    "irclickid": ClickId("impact", "affiliate"),
    "cjevent": ClickId("cj", "affiliate"),
    "awc": ClickId("awin", "affiliate"),
    "mc_eid": ClickId("mailchimp", "email"),
}
"""In the order of their test: a paid click before a mere share."""

CHANNELS: Final = (
    "internal", "direct", "cross_network", "paid_shopping", "paid_search", "paid_social", "paid_video", "display",
    "paid_other", "shopping", "social", "video", "organic_search", "email", "affiliate", "referral", "audio", "sms",
    "push", "unassigned",
)  # fmt: skip

_PAID: Final = r"^(?:.*cp.*|ppc|retargeting|paid.*)$"
_SHOP_CAMPAIGN: Final = r"^.*(?:(?:[^a-df-z]|^)shop|shopping).*$"
_EMAIL: Final = ("email", "e-mail", "e_mail", "e mail", "newsletter")


def site_patterns(extra: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """One regular expression per kind over lower-case hosts and source names.

    A name without a dot is a label before one or two short ones (`google` is google.com, www.google.co.uk and the
    bare word, but not google.example.com); a name with a dot is that domain and its subdomains.
    """
    return {kind: _pattern([*names, *extra.get(kind, ())]) for kind, names in SITES.items()}


def site_kind(source: pl.Expr, patterns: Mapping[str, str]) -> pl.Expr:
    """The kind of a host or source name (mail, shopping, video, search, social), or null."""
    return pl.coalesce(
        *(pl.when(source.str.contains(pattern)).then(pl.lit(kind)) for kind, pattern in patterns.items()),
        pl.lit(None, pl.String),
    )


def channel(source: pl.Expr, medium: pl.Expr, name: pl.Expr, kind: pl.Expr) -> pl.Expr:
    """The channel of one visit; all arguments lower-case, null where unknown; `kind` is the source's.

    A visit without source, medium and name is `direct`.
    """
    paid = _has(medium, _PAID)
    shop = _is(kind, "shopping") | _has(name, _SHOP_CAMPAIGN)
    rules: list[tuple[pl.Expr, str]] = [
        (_direct(source, medium, name), "direct"),
        (_has(name, "cross-network"), "cross_network"),
        (shop & paid, "paid_shopping"),
        (_is(kind, "search") & paid, "paid_search"),
        (_is(kind, "social") & paid, "paid_social"),
        (_is(kind, "video") & paid, "paid_video"),
        (_is(medium, "display", "banner", "expandable", "interstitial", "cpm"), "display"),
        (paid, "paid_other"),
        (shop, "shopping"),
        (
            _is(kind, "social")
            | _is(medium, "social", "social-network", "social-media", "sm", "social network", "social media"),
            "social",
        ),
        (_is(kind, "video") | _has(medium, "video"), "video"),
        (_is(kind, "search") | _is(medium, "organic"), "organic_search"),
        (_is(source, *_EMAIL) | _is(medium, *_EMAIL) | _is(kind, "mail"), "email"),
        (_is(medium, "affiliate", "affiliates", "partner"), "affiliate"),
        (_is(medium, "referral", "app", "link"), "referral"),
        (_is(medium, "audio"), "audio"),
        (_is(source, "sms") | _is(medium, "sms"), "sms"),
        (_has(medium, "push$|mobile|notification") | _is(source, "firebase"), "push"),
    ]
    cases = [pl.when(condition).then(pl.lit(value)) for condition, value in rules]
    return pl.coalesce(*cases, pl.lit("unassigned"))


def _direct(source: pl.Expr, medium: pl.Expr, name: pl.Expr) -> pl.Expr:
    nothing = source.is_null() & medium.is_null() & name.is_null()
    said = _is(source, "direct", "(direct)") & (medium.is_null() | _is(medium, "(none)", "(not set)", "none"))
    return nothing | said


def _is(value: pl.Expr, *values: str) -> pl.Expr:
    return value.is_in(list(values)).fill_null(value=False)


def _has(value: pl.Expr, pattern: str) -> pl.Expr:
    return value.str.contains(pattern).fill_null(value=False)


def _pattern(names: Sequence[str]) -> str:
    labels = "|".join(n.lower().replace("-", r"\-") for n in names if "." not in n)
    domains = "|".join(n.lower().replace(".", r"\.") for n in names if "." in n)
    branches = [rf"(?:^|\.)(?:{labels})(?:\.[a-z]{{2,3}}){{0,2}}$"] if labels else []
    branches += [rf"(?:^|\.)(?:{domains})$"] if domains else []
    return "|".join(branches)
