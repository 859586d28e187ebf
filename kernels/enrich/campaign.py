"""Where a visit came from: campaign parameters, click ids, referrer, channel."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import unquote_plus

import polars as pl

from ecompulse.kernels.enrich.channels import CLICK_IDS, channel, site_kind, site_patterns
from ecompulse.kernels.enrich.status import DIRECT, INTERNAL, MALFORMED, NO_KEY, OFF, OK
from ecompulse.kernels.enrich.step import Opened, Step, all_null, status_column, untouched
from ecompulse.kernels.rows import no_rows

COLUMNS: Final = pl.Schema(
    dict.fromkeys(
        (
            "campaign_source", "campaign_medium", "campaign_name", "campaign_term", "campaign_content", "campaign_id",
            "campaign_click_id", "campaign_click_id_type", "campaign_referrer_host", "campaign_channel",
        ),
        pl.String(),
    )
)  # fmt: skip

_TAGS: Final = {
    "source": "utm_source", "medium": "utm_medium", "name": "utm_campaign", "term": "utm_term",
    "content": "utm_content", "id": "utm_id",
}  # fmt: skip
_HOST: Final = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?:www\.)?(\[[^\]]+\]|[^/?#:@]+)"
_PLAIN_HOST: Final = r"^https?://([^/?#:@\[\]]+)(?:[/?#]|$)"  # four times faster, and so are nearly all
_TAGGED: Final = rf"[?&;](?:utm_|{'|'.join(CLICK_IDS)})"
_ROW: Final = "_row"
_MANY: Final = 5_000  # rows from which it pays to look each different one up once
_TAGS_SCHEMA: Final = pl.Schema({_ROW: pl.Int64(), **dict.fromkeys((*_TAGS, "click_id_type", "click_id"), pl.String())})


@dataclass(frozen=True)
class CampaignStep(Step):
    """Campaign parameters and channel of `url` and `referrer`.

    Attributes:
        own_domains: referrers from here, subdomains included, are `internal`, as is the host of `url` itself.
        search, social, shopping, video, mail: names added to the shipped ones: a label (`google` stands for
            google.com, www.google.co.uk) or, with a dot, a domain and its subdomains (`t.co`).
    """

    name: ClassVar[str] = "campaign"
    own_domains: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    social: tuple[str, ...] = ()
    shopping: tuple[str, ...] = ()
    video: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()

    @property
    def reads(self) -> Collection[str]:
        """See Step."""
        return ("url", "referrer")

    def columns(self, opened: Opened) -> pl.Schema:  # noqa: ARG002
        """Parameters, click id, referrer and channel."""
        return COLUMNS

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:  # noqa: ARG002
        """Source and medium are what the link says (utm), else what its click id implies, else the referrer's host.

        A referrer is `organic` for a search site and `referral` otherwise. Status: `ok`; `direct`: nothing says where
        from; `internal`: from one's own pages; `malformed`: a referrer without a host; `no_key`: neither url nor
        referrer.
        """
        if not self.enabled:
            return untouched(events, self, COLUMNS, OFF)
        if all_null(events, "url", "referrer"):
            return untouched(events, self, COLUMNS, NO_KEY)
        links = _hosts(events, self)
        found = links.join(_tags(events["url"]), on=_ROW, how="left", maintain_order="left")
        patterns = site_patterns({k: getattr(self, k) for k in ("mail", "shopping", "video", "search", "social")})
        found = _attribute(found, patterns).rename({"status": status_column(self.name)})
        return pl.concat([events, found.select(*COLUMNS, status_column(self.name))], how="horizontal")


def _hosts(events: pl.DataFrame, step: CampaignStep) -> pl.DataFrame:
    """Per row: referrer's host, whether it is one's own, whether it is malformed, whether there is nothing."""
    url, referrer = (_filled(pl.col(name)) for name in ("url", "referrer"))
    frame = events.select(
        pl.int_range(pl.len()).alias(_ROW),
        host_of(events["referrer"]).alias("host"),
        host_of(events["url"]).alias("own"),
        referrer.is_not_null().alias("referred"),
        (url.is_null() & referrer.is_null()).alias("empty"),
    )
    domains = [domain.lower().removeprefix("www.") for domain in step.own_domains]
    own = pl.col("host") == pl.col("own")
    for domain in domains:
        own = own | (pl.col("host") == domain) | pl.col("host").str.ends_with(f".{domain}")
    return frame.with_columns(
        own.fill_null(value=False).alias("internal"),
        (pl.col("referred") & pl.col("host").is_null()).alias("malformed"),
    )


def host_of(urls: pl.Series) -> pl.Series:
    """Host of each URL, in lower case, without user, port and `www.`; null where there is none.

    A shop has few pages: if most rows name one that others name too, each is looked at once.
    """
    if len(urls) < _MANY or 2 * urls.n_unique() > len(urls):
        return _host(urls)
    rows, unique = urls.to_frame("url"), urls.unique().to_frame("url")
    hosts = unique.with_columns(_host(unique["url"]))
    return rows.join(hosts, on="url", how="left", nulls_equal=True, maintain_order="left")["host"]


def _host(urls: pl.Series) -> pl.Series:
    url = pl.col("url")
    plain = url.str.extract(_PLAIN_HOST)
    bare = plain.str.strip_prefix("www.")
    hosts = urls.to_frame("url").select("url", host=pl.when(bare == "").then(plain).otherwise(bare))
    if hosts.select((pl.col("host").is_null() & url.is_not_null()).any()).item():
        # Only the others pay for the whole pattern.
        other = hosts.select(url=pl.when(pl.col("host").is_null()).then("url")).select(url.str.extract(_HOST))
        hosts = hosts.with_columns(host=pl.coalesce("host", other["url"]))
    return hosts["host"].str.to_lowercase()


def _tags(urls: pl.Series) -> pl.DataFrame:
    """Decoded campaign parameters and click id of the few urls that have any, by row number."""
    queries = pl.DataFrame({"query": urls}).with_row_index(_ROW).with_columns(pl.col(_ROW).cast(pl.Int64))
    tagged = queries.filter(pl.col("query").str.contains(_TAGGED))
    if tagged.is_empty():
        return no_rows(_TAGS_SCHEMA)
    tagged = tagged.with_columns(pl.col("query").str.extract(r"(\?[^#]*)"))
    found = tagged.select(
        _ROW,
        *(_parameter(parameter).alias(tag) for tag, parameter in _TAGS.items()),
        *(_parameter(click_id).alias(click_id) for click_id in CLICK_IDS),
    )
    kind = pl.coalesce(pl.when(pl.col(click_id).is_not_null()).then(pl.lit(click_id)) for click_id in CLICK_IDS)
    found = found.select(_ROW, *_TAGS, kind.alias("click_id_type"), pl.coalesce(*CLICK_IDS).alias("click_id"))
    return found.with_columns(_decoded(found[name]) for name in (*_TAGS, "click_id"))


def _parameter(name: str) -> pl.Expr:
    """The first value of a query parameter, null if it is absent or empty."""
    return _filled(pl.col("query").str.extract(rf"[?&;]{name}=([^&;]*)"))


def _decoded(values: pl.Series) -> pl.Series:
    """Percent-decoded; Python decodes each different escaped text once."""
    escaped = values.filter(values.str.contains("[%+]").fill_null(value=False)).unique()
    plain = [unquote_plus(text) for text in escaped]
    return values.replace(escaped, pl.Series(plain, dtype=pl.String)) if plain else values


def _attribute(found: pl.DataFrame, patterns: dict[str, str]) -> pl.DataFrame:
    """All columns and the status, from hosts and parameters."""
    sources = {click_id: says.source for click_id, says in CLICK_IDS.items()}
    mediums = {click_id: says.medium for click_id, says in CLICK_IDS.items()}
    clicked = pl.col("click_id_type")
    untagged = pl.all_horizontal(pl.col(*_TAGS, "click_id").is_null())
    outside = pl.when(untagged & ~pl.col("internal")).then(pl.col("host"))
    found = found.with_columns(
        pl.coalesce("source", clicked.replace_strict(sources, default=None, return_dtype=pl.String), outside).alias(
            "source"
        ),
        pl.coalesce("medium", clicked.replace_strict(mediums, default=None, return_dtype=pl.String)).alias("medium"),
        outside.alias("outside"),
    )
    found = found.join(_kinds(found["source"], patterns), on="source", how="left", maintain_order="left")
    implied = pl.when(pl.col("kind") == "search").then(pl.lit("organic")).otherwise(pl.lit("referral"))
    found = found.with_columns(
        pl.coalesce("medium", pl.when(pl.col("outside").is_not_null()).then(implied)).alias("medium")
    )
    found = _with_channel(found)
    return found.select(
        *(pl.col(tag).alias(f"campaign_{tag}") for tag in (*_TAGS, "click_id", "click_id_type")),
        pl.col("host").alias("campaign_referrer_host"),
        _unless_empty(pl.when(untagged & pl.col("internal")).then(pl.lit(INTERNAL)).otherwise(pl.col("channel"))).alias(
            "campaign_channel"
        ),
        _status(untagged).alias("status"),
    )


def _with_channel(found: pl.DataFrame) -> pl.DataFrame:
    """`channel` added; the rules are applied to each different combination once."""
    traits = ["source", "medium", "name", "kind"]
    source, medium, name = (pl.col(text).str.to_lowercase() for text in traits[:3])
    unique = found.select(traits).unique()
    unique = unique.with_columns(channel(source, medium, name, pl.col("kind")).alias("channel"))
    return found.join(unique, on=traits, how="left", maintain_order="left", nulls_equal=True)


def _kinds(sources: pl.Series, patterns: dict[str, str]) -> pl.DataFrame:
    """The kind of each different source."""
    unique = sources.drop_nulls().unique().rename("source").to_frame()
    return unique.with_columns(site_kind(pl.col("source").str.to_lowercase(), patterns).alias("kind"))


def _status(untagged: pl.Expr) -> pl.Expr:
    return (
        pl.when(pl.col("empty"))
        .then(pl.lit(NO_KEY))
        .when(~untagged)
        .then(pl.lit(OK))
        .when(pl.col("malformed"))
        .then(pl.lit(MALFORMED))
        .when(pl.col("internal"))
        .then(pl.lit(INTERNAL))
        .when(pl.col("host").is_null())
        .then(pl.lit(DIRECT))
        .otherwise(pl.lit(OK))
    )


def _unless_empty(value: pl.Expr) -> pl.Expr:
    """Nothing is known of a row without url and referrer: not even that it is direct."""
    return pl.when(~pl.col("empty")).then(value)


def _filled(value: pl.Expr) -> pl.Expr:
    return pl.when(value != "").then(value)
