"""What sent a request: class of device, browser, operating system; people's devices and robots.

Families come from `ua-parser`, crawlers from the patterns of `crawler-user-agents`. A parsed agent is
kept in a cache; parsing is done here, on columns of unique texts.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Final

import crawleruseragents  # type: ignore[import-untyped]
import polars as pl
import ua_parser

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.lookup import FOUND_STATUS, KEY, resolve
from ecompulse.kernels.enrich.status import OFF
from ecompulse.kernels.enrich.step import Function, Need, Opened, Step, status_column, untouched

AGENT: Final = pl.Schema(
    {
        "class": pl.String(),  # desktop mobile tablet bot other
        "browser": pl.String(),
        "browser_version": pl.String(),  # major
        "os": pl.String(),
        "os_version": pl.String(),  # major
    }
)
COLUMNS: Final = pl.Schema({f"device_{name}": dtype for name, dtype in AGENT.items()})

LONGEST: Final = 1024
"""Characters of a user agent that are read: no browser has more, and 64 KB take a parser a tenth of a second."""

BOT, DESKTOP, MOBILE, TABLET, OTHER = "bot", "desktop", "mobile", "tablet", "other"

_DECLARED: Final = r"(?i)\+https?://|crawler|spider|(?:^|[^a-z])bot\b|[a-tv-z]bot/\d"
"""How an honest robot names itself, for those on no list yet; `CUBOT/1` is a telephone."""

LIBRARIES: Final = frozenset(
    {
        "Python-urllib", "python-requests", "aiohttp", "httpx", "Go-http-client", "okhttp", r"AHC\/", "Jetty",
        "^Apache-HttpClient", "axios", "HttpUrlConnection", "node-fetch", r"sindresorhus\/got", "CustomAsyncHttpClient",
    }
)  # fmt: skip
"""Patterns of the list that are HTTP libraries, which apps are built with: by themselves they are no robots."""

_LIBRARY: Final = r"(?i)^(?:java|python-urllib3?)/"
"""The same for those that `ua-parser` calls spiders."""

_BROWSER: Final = r"^Mozilla/"
"""Only browsers hold to Android's rule that a telephone says `Mobile`; an app says whatever it says."""

_TELEVISION: Final = r"(?i)\btv\b|smart-?tv|appletv|googletv|hbbtv|bravia|aft[a-z]\b|playstation|xbox|nintendo|roku"
_TABLET: Final = r"(?i)ipad|tablet|kindle|silk/|\bKF[A-Z]{2,5}\b|playbook"
_MOBILE: Final = r"(?i)mobile|iphone|ipod|windows phone|opera mini|blackberry|bb10|symbian"
_DESKTOP: Final = r"(?i)windows nt|macintosh|x11|cros |linux (?:x86_64|i686|aarch64)|win64|wow64"


AGENTS: Final = "user_agent"


@dataclass(frozen=True)
class DeviceStep(Step):
    """Class, browser and operating system of `user_agent`.

    Attributes:
        max_rows: different user agents kept parsed per process.
        own_agents: regular expressions of apps of the shop: an agent that matches one is never a bot.
    """

    name: ClassVar[str] = "device"
    max_rows: int = 100_000
    own_agents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, pattern in enumerate(self.own_agents):
            try:
                pl.Series(["agent"]).str.contains(pattern)
            except pl.exceptions.PolarsError as error:
                reason = str(error).strip().splitlines()[-1]
                raise ConfigError(f"own_agents[{number}]", f"{pattern!r} is no regular expression: {reason}") from None
            if not pattern:
                raise ConfigError(f"own_agents[{number}]", "is empty, which matches every agent")

    @property
    def reads(self) -> Collection[str]:
        """See Step."""
        return ("user_agent",)

    def needs(self) -> Mapping[str, Need]:
        """A parser with its cache."""
        parse = partial(parse_agents, own=self.own_agents)
        return {AGENTS: Function(AGENT, parse, self.max_rows)} if self.enabled else {}

    def columns(self, opened: Opened) -> pl.Schema:  # noqa: ARG002
        """Class, browser and system."""
        return COLUMNS

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """Status `ok` or `no_key`; without a parser, nulls and `off`."""
        if AGENTS not in opened:
            return untouched(events, self, COLUMNS, OFF)
        renames = {**{name: f"device_{name}" for name in AGENT}, FOUND_STATUS: status_column(self.name)}
        read = events["user_agent"].str.head(LONGEST)
        return pl.concat([events, resolve(read, opened[AGENTS]).rename(renames)], how="horizontal")


def parse_agents(agents: pl.Series, own: Sequence[str] = ()) -> pl.DataFrame:
    """`key` and the columns of AGENT for user agents (unique, no nulls), row by row.

    What matches one of the regular expressions `own` is a person with an app of ours, never a robot.

    A tablet is told from a telephone by Android's rule (no `Mobile` token); an iPad that asks for desktop pages
    says that it is a Macintosh, and is believed.
    """
    parsed = [ua_parser.parse(text) for text in agents]
    frame = pl.DataFrame(
        {
            KEY: agents,
            "family": [p.device.family if p.device else None for p in parsed],
            "browser": [p.user_agent.family if p.user_agent else None for p in parsed],
            "browser_version": [p.user_agent.major if p.user_agent else None for p in parsed],
            "os": [p.os.family if p.os else None for p in parsed],
            "os_version": [p.os.major if p.os else None for p in parsed],
        },
        schema_overrides=dict.fromkeys(("family", "browser", "browser_version", "os", "os_version"), pl.String),
    )
    ours = agents.str.contains("|".join(f"(?:{pattern})" for pattern in own)) if own else pl.lit(value=False)
    frame = frame.with_columns(_found(agents, LIBRARIES).alias("listed"), ours=ours)
    return frame.select(KEY, _device_class().alias("class"), *list(AGENT)[1:])


def is_crawler(agents: pl.Series) -> pl.Series:
    """Whether each user agent matches a pattern of the `crawler-user-agents` list (case-sensitive, as published).

    Most patterns are plain texts and are searched all at once (Aho-Corasick: 1 us an agent, where one regular
    expression over all of them takes 100 us).
    """
    return _found(agents, frozenset())


def _found(agents: pl.Series, left_out: frozenset[str]) -> pl.Series:
    texts, pattern = _crawler_patterns(left_out)
    return agents.str.contains_any(list(texts)) | agents.str.contains(pattern)


def _device_class() -> pl.Expr:
    agent = pl.col(KEY)
    android = agent.str.contains(r"(?i)android")
    mobile = agent.str.contains(_MOBILE)
    spider = (pl.col("family") == "Spider").fill_null(value=False) & ~agent.str.contains(_LIBRARY)
    return (
        pl.when((pl.col("listed") | spider | agent.str.contains(_DECLARED)) & ~pl.col("ours"))
        .then(pl.lit(BOT))
        .when(agent.str.contains(_TELEVISION))
        .then(pl.lit(OTHER))
        .when(agent.str.contains(_TABLET) | (android & ~mobile & agent.str.contains(_BROWSER)))
        .then(pl.lit(TABLET))
        .when(mobile | android)
        .then(pl.lit(MOBILE))
        .when(agent.str.contains(_DESKTOP))
        .then(pl.lit(DESKTOP))
        .otherwise(pl.lit(OTHER))
    )


@cache
def _crawler_patterns(left_out: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """Patterns that are plain texts, and one regular expression of the others."""
    listed = (str(entry["pattern"]) for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA)
    patterns = [pattern for pattern in listed if pattern not in left_out]
    plain = [p for p in patterns if not re.search(r"(?<!\\)[.^$*+?{}\[\]()|]|\\\w", p)]
    others = [p for p in patterns if p not in set(plain)]
    texts = tuple(re.sub(r"\\(\W)", r"\1", p) for p in plain)
    return texts, "|".join(f"(?:{p})" for p in others)
