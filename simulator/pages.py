"""Where a visit comes from, which pages it sees, and what it searches for."""

from typing import Final
from urllib.parse import quote_plus

import polars as pl

from ecompulse.simulator.catalogue import CATEGORIES
from ecompulse.simulator.draw import Bools, Draw, Ints, cumulative
from ecompulse.simulator.world import Act, gather

SITE: Final = "https://shop.example"

_CAMPAIGNS: Final = (
    (34, "", None),
    (20, "", "https://www.google.com/"),
    (4, "", "https://www.bing.com/"),
    (3, "", "https://duckduckgo.com/"),
    (12, "?utm_source=google&utm_medium=cpc&utm_campaign=autumn&gclid=", "https://www.google.com/"),
    (4, "?utm_source=bing&utm_medium=cpc&utm_campaign=autumn&msclkid=", "https://www.bing.com/"),
    (
        7,
        "?utm_source=facebook&utm_medium=paid_social&utm_campaign=sneakers&fbclid=",
        "https://l.facebook.com/",
    ),
    (4, "", "https://www.instagram.com/"),
    (3, "", "https://t.co/Ab3dE"),
    (7, "?utm_source=newsletter&utm_medium=email&utm_campaign=weekly", None),
    (2, "?utm_source=partner7&utm_medium=affiliate&utm_campaign=coupons", "https://coupons.example/deal"),
)
"""Weight, what is put behind the landing page (a click id follows `=`), and the referrer."""

_CAMPAIGN_WEIGHTS: Final = cumulative([weight for weight, _, _ in _CAMPAIGNS])
_SUFFIX: Final = pl.Series([suffix for _, suffix, _ in _CAMPAIGNS])
_REFERRER: Final = pl.Series([referrer for _, _, referrer in _CAMPAIGNS])
_PAGES: Final = pl.Series(
    ["/", "/sale", "/new", "/stores", "/help/shipping", "/account"]
    + ["/c/" + category.path.replace(".", "/") for category in CATEGORIES]
)
_PAGE_WEIGHTS: Final = cumulative([40, 10, 6, 2, 3, 4] + [max(category.weight // 2, 1) for category in CATEGORIES])
_FIXED: Final = {
    Act.CHECKOUT: "/checkout", Act.PURCHASE: "/checkout/done", Act.LOGIN: "/login", Act.LOGOUT: "/logout",
    Act.SIGNUP: "/signup",
}  # fmt: skip

_FOUND: Final = tuple(
    dict.fromkeys(
        [noun.lower() for category in CATEGORIES for noun in category.nouns]
        + [brand.lower() for category in CATEGORIES for brand in category.brands]
        + ['tv 55"', "kaffeemühle", "shoes size 42", "gift under 20"]
    )
)
_NOT_FOUND: Final = (
    "phoen casse",
    "windmill",
    "sneekers blau 43",
    "プリンター",
    "xyzzy",
    "tisch\\lampe",
    "naïve fish",
)
_QUERIES: Final = pl.Series([*_FOUND, *_NOT_FOUND])
_QUERY_PAGES: Final = pl.Series(["/search?q=" + quote_plus(query) for query in [*_FOUND, *_NOT_FOUND]])
_MOST_RESULTS: Final = 240


def addressed(draw: Draw, rows: pl.DataFrame, act: Ints, first: Bools, no_result: float) -> pl.DataFrame:
    """`rows` (by visit and time, with `product_id`) with `url`, `referrer`, `query` and search results.

    `first` marks a visit's first row: it has the campaign; the others have the page before as referrer.
    """
    size = rows.height
    miss = draw.chance(size, no_result)
    found, lost = draw.below(size, len(_FOUND)), len(_FOUND) + draw.below(size, len(_NOT_FOUND))
    query = pl.Series("query", lost).zip_with(pl.Series(miss), pl.Series(found))
    campaign = draw.pick(size, _CAMPAIGN_WEIGHTS)
    fixed = gather(pl.Series(_FIXED.values()), _positions(act))
    working = rows.with_columns(
        act=pl.Series(act), first=pl.Series(first), query=gather(_QUERIES, query),
        search=gather(_QUERY_PAGES, query),
        page=gather(_PAGES, draw.pick(size, _PAGE_WEIGHTS)), fixed=fixed, suffix=gather(_SUFFIX, campaign),
        came=gather(_REFERRER, campaign), click=draw.tokens(size, 16),
        results=pl.Series(1 + draw.below(size, _MOST_RESULTS)).set(pl.Series(miss), 0),
    )  # fmt: skip
    return _with_pages(working).drop("act", "first", "search", "page", "fixed", "suffix", "came", "click", "results")


def _positions(act: Ints) -> pl.Series:
    keys = list(_FIXED)
    codes = pl.Series([keys.index(Act(code)) if code in keys else -1 for code in range(len(Act))])
    return codes.gather(act)


def _with_pages(working: pl.DataFrame) -> pl.DataFrame:
    searching = pl.col("act") == int(Act.SEARCH)
    path = (
        pl.when(searching).then("search")
        .when(pl.col("act").is_in([int(Act.PAGE), int(Act.UNKNOWN)])).then("page")
        .when(pl.col("fixed").is_not_null()).then("fixed")
        .otherwise(pl.concat_str(pl.lit("/p/"), "product_id"))
    )  # fmt: skip
    click = pl.when(pl.col("suffix").str.ends_with("id=")).then("click").otherwise(pl.lit(""))
    landing = pl.when(pl.col("first") & ~searching).then(pl.concat_str("suffix", click)).otherwise(pl.lit(""))
    return working.with_columns(
        url=pl.concat_str(pl.lit(SITE), path, landing),
        query=pl.when(searching).then("query"),
        properties=pl.when(searching).then(
            pl.concat_str(pl.lit('{"results":'), pl.col("results").cast(pl.String), pl.lit("}"))
        ),
    ).with_columns(referrer=pl.when("first").then("came").otherwise(pl.col("url").shift(1)))
