"""Personal data: dropped, masked or replaced by a keyed hash before anything is stored.

A keyed hash is HMAC-SHA256 in 64 hexadecimal digits: the same person stays the same, and without the key nobody
can try out addresses. Email addresses are hashed in lower case.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Final, Literal

import polars as pl
import polars.selectors as cs
import polars_hash as _plh  # noqa: F401  # registers the `chash` namespace of expressions

from ecompulse.kernels.config import ConfigError, nearest
from ecompulse.kernels.enrich import addresses
from ecompulse.kernels.enrich.properties import protect_property, unescape
from ecompulse.kernels.enrich.status import OFF, OK
from ecompulse.kernels.enrich.step import Need, Opened, Secret, Step, status_column
from ecompulse.kernels.event import POSITION_SCHEMA

MASK: Final = "***"
EMAIL: Final = (
    r"[\p{L}\p{N}_](?:(?:[\p{L}\p{N}_.+'\-]|%2[Bb])*[\p{L}\p{N}_+\-])?(?:@|%40)"
    r"(?:[\p{L}\p{N}](?:[\p{L}\p{N}\-]*[\p{L}\p{N}])?\.)+\p{L}{2,}"
)
"""Something like an email address, also as it stands in the query of a URL. What delimits URLs and texts (`/ ? & =`
and the like) is no part of it, though the standard allows it before the `@`."""

VERSION_PREFIX: Final = "version_"
"""Of a version's columns while they travel beside events."""

IDENTIFIERS: Final = frozenset(
    {
        "event_id", "user_id", "anonymous_id", "session_id", "device_id", "product_id", "order_id", "payment_id",
        "card_id", "merchant_id",
    }
)  # fmt: skip
"""Fields that other rows are matched by: two of them masked alike would become one person or one order."""

Action = Literal["drop", "mask", "hash"]

HASH_KEY: Final = "key"

_SUSPECT: Final = ["@", "%40"]
_PROPERTY: Final = "properties."


def _key_source(value: object) -> str:
    if isinstance(value, str) and re.fullmatch("(env|file):.+", value):
        return value
    raise ValueError("must be env:NAME or file:PATH; the key itself never stands in a configuration")


@dataclass(frozen=True)
class PiiStep(Step):
    """What happens to personal data before anything is stored; without any action the step is off.

    Attributes:
        ip: action on the `ip` column; `mask` keeps the first 24 bits of IPv4, 48 of IPv6.
        emails: action on everything that looks like an email address, in every text column; in identifiers
            it is always `hash`.
        fields: action by column name or `properties.name`; `mask` is `***`.
        key: where the key of `hash` is: `env:NAME` or `file:PATH`, 16 characters or more.
    """

    name: ClassVar[str] = "pii"
    ip: Action | None = None
    emails: Action | None = None
    fields: Mapping[str, Action] = field(default_factory=dict)
    key: Annotated[str, _key_source] | None = None

    def __post_init__(self) -> None:
        for name, action in self.fields.items():
            if name in IDENTIFIERS and action != "hash":
                raise ConfigError(f"fields.{name}", f"{action} would make different ids one; use hash")
            if name in ("event_type", "event_time", "properties"):
                raise ConfigError(f"fields.{name}", "cannot be hidden as a whole; name properties.x")
        if self.needs_key and self.key is None:
            raise ConfigError("key", "required (env:NAME or file:PATH): something is hashed, as ids with emails are")

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return self.enabled and bool(self.ip or self.emails or self.fields)

    @property
    def needs_key(self) -> bool:
        """Whether a keyed hash is computed anywhere."""
        return bool(self.emails) or self.ip == "hash" or "hash" in self.fields.values()

    @property
    def reads(self) -> Collection[str]:
        """Nothing: it hides what is there."""
        return ()

    def needs(self) -> Mapping[str, Need]:
        """The key of hashes, if there is one."""
        return {HASH_KEY: Secret(self.key)} if self.active and self.key else {}

    def columns(self, opened: Opened) -> pl.Schema:  # noqa: ARG002
        """None: it hides what is there."""
        return pl.Schema()

    def check(self, columns: pl.Schema, opened: Opened) -> None:  # noqa: ARG002
        """Refuse a policy that names a column that is not there, or would mask what is no text."""
        for name, action in self.fields.items():
            if name.startswith(_PROPERTY):
                continue
            if name not in columns:
                raise ConfigError(f"fields.{name}", f"no such column{nearest(name, columns)}")
            if columns[name] != pl.String() and action != "drop":
                raise ConfigError(f"fields.{name}", f"is {columns[name]}, no text; only drop is possible")

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """See `hide`; the status is `ok`, or `off` without a policy."""
        said = pl.lit(OK if self.active else OFF).alias(status_column(self.name))
        return hide(events, self, opened.get(HASH_KEY)).with_columns(said)


def hide(events: pl.DataFrame, policy: PiiStep, key: str | None) -> pl.DataFrame:
    """The batch under the policy; schema unchanged.

    Named fields first, then `ip`, then emails in every text column, added ones included. What a look-up
    gives is text like any other. Columns that are dropped stay, as nulls.
    """
    if not policy.active:
        return events
    named = {name: action for name, action in policy.fields.items() if not name.startswith(_PROPERTY)}
    if policy.ip is not None:
        named = {"ip": policy.ip, **named}
    # A column that only an update stream gives comes later, and protected: see `apply_to_versions`.
    here = {name: action for name, action in named.items() if name in events.columns}
    events = events.with_columns(protect(events[name], action, key) for name, action in here.items())
    events = events.with_columns(_properties(events["properties"], policy, key))
    if policy.emails is not None:
        events = events.with_columns(_emails(events, policy.emails, key))
    return _forgotten(events)


def apply_to_versions(versions: pl.DataFrame, policy: PiiStep, key: str | None) -> pl.DataFrame:
    """Versions of an update stream (`to_versions`) under the policy; schema unchanged.

    A column is treated as the enriched one that it becomes (`user_email` for `version_user_email`), and the key as that
    of events, so that both still meet.
    """
    if not policy.active:
        return versions
    named = {column: policy.fields.get(column.removeprefix(VERSION_PREFIX)) for column in versions.columns}
    versions = versions.with_columns(
        protect(versions[column], action, key) for column, action in named.items() if action
    )
    if policy.emails is not None:
        versions = versions.with_columns(_emails(versions, policy.emails, key))
    return _forgotten(versions)


def policy_of_labels(policy: PiiStep, identifier: str) -> PiiStep:
    """The policy for labels of transactions: their id, read as `event_id`, is treated as that column of events."""
    fields = {name: action for name, action in policy.fields.items() if name != "event_id"}
    return replace(policy, fields=fields | ({"event_id": fields[identifier]} if identifier in fields else {}))


def apply_to_labels(labels: pl.DataFrame, policy: PiiStep, key: str | None) -> pl.DataFrame:
    """Labels with their id under `policy_of_labels`, so that they still meet their transactions; schema unchanged."""
    if not policy.active:
        return labels
    ids = labels.select("transaction_id")
    if "event_id" in policy.fields:
        ids = ids.with_columns(protect(ids["transaction_id"], policy.fields["event_id"], key))
    elif policy.emails is not None:
        suspect = ids["transaction_id"].str.contains_any(_SUSPECT).fill_null(value=False)
        hidden = hide_emails(ids["transaction_id"].filter(suspect), "hash", key)
        ids = ids.with_columns(_scatter(ids["transaction_id"], suspect, hidden))
    return _forgotten(labels.with_columns(ids))


def _forgotten(events: pl.DataFrame) -> pl.DataFrame:
    """The same frame without what it no longer shows: columns share memory, which would be written with them.

    Texts of Polars are views of buffers, and a file of a frame may hold whole buffers, with texts that were hidden. A
    null may still have a view, which a copy to Arrow's older form follows; to take rows does not.
    """
    texts = events.select(cs.string()).to_arrow(compat_level=pl.CompatLevel.oldest())
    every = pl.int_range(events.height, eager=True).to_arrow()
    columns = [column.take(every) if column.null_count else column for column in texts.columns]
    return events.with_columns(pl.DataFrame(dict(zip(texts.column_names, columns, strict=True))).get_columns())


def protect(values: pl.Series, action: Action, key: str | None) -> pl.Series:
    """One column under one action, under the same name; nulls stay null."""
    if action == "drop":
        return pl.Series(values.name, [None], dtype=values.dtype).new_from_index(0, values.len())
    if action == "hash":
        return keyed_hash(values, key)
    if values.name == "ip":
        return addresses.mask(values).rename(values.name)
    return (
        values.to_frame()
        .select(pl.when(pl.col(values.name).is_not_null()).then(pl.lit(MASK)).alias(values.name))
        .to_series()
    )


def keyed_hash(values: pl.Series, key: str | None) -> pl.Series:
    """HMAC-SHA256 of each text, in hexadecimal; each different text is hashed once.

    Raises:
        ValueError: there is no key.
    """
    if not key:
        raise ValueError("steps.pii.key: a keyed hash needs a key")
    unique = values.drop_nulls().unique()
    hashed = pl.select(pl.lit(unique).chash.hmac_sha256(key=key)).to_series()  # type: ignore[attr-defined]
    return values.replace_strict(unique, hashed, default=None, return_dtype=pl.String)


def hide_emails(texts: pl.Series, action: Action, key: str | None) -> pl.Series:
    """Every email address inside the texts masked (`drop` removes it, leaving the rest) or hashed in place."""
    if action != "hash":
        return texts.str.replace_all(EMAIL, MASK if action == "mask" else "")
    found = texts.str.extract_all(EMAIL).explode(empty_as_null=False).drop_nulls().unique()
    if found.is_empty():
        return texts
    hashes = keyed_hash(found.str.replace("%40", "@", literal=True).str.to_lowercase(), key)
    longest = pl.DataFrame({"email": found, "hash": hashes}).sort(
        pl.col("email").str.len_bytes(), "email", descending=True
    )
    return texts.str.replace_many(longest["email"].to_list(), longest["hash"].to_list(), leftmost=True)


def _emails(events: pl.DataFrame, action: Action, key: str | None) -> list[pl.Series]:
    """The text columns that have something to hide."""
    changed = []
    for name, dtype in events.schema.items():
        if dtype != pl.String() or name in POSITION_SCHEMA or name.startswith("_status_"):
            continue
        suspect = events[name].str.contains_any(_SUSPECT).fill_null(value=False)
        if suspect.any():
            how: Action = "hash" if name in IDENTIFIERS else action
            hidden = hide_emails(events[name].filter(suspect), how, key)
            changed.append(_scatter(events[name], suspect, hidden))
    return changed


def _properties(texts: pl.Series, policy: PiiStep, key: str | None) -> pl.Series:
    """JSON texts under the named properties; escapes that could hide an address are undone first."""
    named = {n.removeprefix(_PROPERTY): a for n, a in policy.fields.items() if n.startswith(_PROPERTY)}
    if not named and policy.emails is None:
        return texts
    texts = unescape(texts)
    for path, action in named.items():
        texts = protect_property(texts, path, lambda values, a=action: protect(values, a, key))  # type: ignore[misc]
    return texts


def _scatter(values: pl.Series, chosen: pl.Series, new: pl.Series) -> pl.Series:
    return values.clone().scatter(chosen.arg_true(), new)  # scatter works in place
