"""Where an address is: country, place and network."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

import polars as pl

from ecompulse.kernels.enrich.addresses import classify
from ecompulse.kernels.enrich.lookup import FOUND_STATUS, KEY, Finder, resolve
from ecompulse.kernels.enrich.status import NO_DATABASE, NO_KEY, OFF, OK
from ecompulse.kernels.enrich.step import (
    CacheConfig,
    Need,
    OnError,
    Opened,
    Step,
    all_null,
    nulls,
    status_column,
    untouched,
)

PLACE: Final = pl.Schema(
    {
        "country": pl.String(),  # ISO 3166-1 alpha-2
        "continent": pl.String(),  # AF AN AS EU NA OC SA
        "region": pl.String(),  # ISO 3166-2 without the country, or a name in flat databases
        "city": pl.String(),  # English name
        "postal_code": pl.String(),
        "latitude": pl.Float64(),  # degrees, WGS 84
        "longitude": pl.Float64(),
        "time_zone": pl.String(),  # IANA
    }
)
NETWORK: Final = pl.Schema({"asn": pl.Int64(), "network_owner": pl.String()})

COLUMNS: Final = pl.Schema({f"geo_{name}": dtype for name, dtype in {**PLACE, **NETWORK}.items()})


DATABASE: Final = "database"
NETWORKS: Final = "asn_database"
DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class GeoStep(Step):
    """Country, region, city, place and network of `ip`, from MaxMind (mmdb) files.

    Attributes:
        database: path of a country or city database; none: status `no_database`.
        asn_database: path of a database of autonomous systems.
        on_error: as for a look-up.
        cache: as for a look-up.
    """

    name: ClassVar[str] = "geo"
    database: str | None = None
    asn_database: str | None = None
    on_error: OnError = "degrade"
    cache: CacheConfig = field(default_factory=partial(CacheConfig, DAY_MS, DAY_MS, max_rows=200_000))

    @property
    def reads(self) -> Collection[str]:
        """See Step."""
        return ("ip",)

    def needs(self) -> Mapping[str, Need]:
        """The databases."""
        wanted = {DATABASE: (self.database, PLACE), NETWORKS: (self.asn_database, NETWORK)} if self.enabled else {}
        return {
            name: GeoDatabase(path, columns, self.on_error, self.cache)
            for name, (path, columns) in wanted.items()
            if path
        }

    def columns(self, opened: Opened) -> pl.Schema:  # noqa: ARG002  # the same with and without databases
        """Always all of these, whichever databases there are."""
        return COLUMNS

    def apply(self, events: pl.DataFrame, opened: Opened) -> pl.DataFrame:
        """Only public addresses are looked up, each once.

        Without a database of places the status of a public address is `no_database` (and `ok` once a database
        of networks knows it). Other statuses: those of `addresses.classify` and of a look-up.
        """
        if not self.enabled:
            return untouched(events, self, COLUMNS, OFF)
        if all_null(events, "ip"):
            return untouched(events, self, COLUMNS, NO_KEY)
        unique = events["ip"].unique()
        joined = events.select(pl.col("ip").alias(KEY)).join(
            _located(unique, opened.get(DATABASE), opened.get(NETWORKS)).with_columns(unique.alias(KEY)),
            on=KEY,
            how="left",
            maintain_order="left",
            nulls_equal=True,
        )
        return pl.concat([events, joined.drop(KEY)], how="horizontal")


@dataclass(frozen=True)
class GeoDatabase(Need):
    """A MaxMind database behind a cache.

    Attributes:
        path: of the .mmdb file.
        columns: `PLACE` or `NETWORK`.
        on_error: what a damaged one means.
        cache: bounds and lifetimes.
    """

    path: str
    columns: Mapping[str, pl.DataType]
    on_error: OnError
    cache: CacheConfig

    def __hash__(self) -> int:
        return hash((self.path, tuple(self.columns), self.on_error, self.cache))


def _located(addresses: pl.Series, places: Finder | None, networks: Finder | None) -> pl.DataFrame:
    """`geo_*` and status of different addresses, row by row."""
    parsed = classify(addresses)
    public = parsed.select(pl.when(pl.col("status") == OK).then(pl.col("address"))).to_series()
    place = _find(public, places, PLACE)
    network = _find(public, networks, NETWORK)
    answer = place[FOUND_STATUS] if places is not None or networks is None else network[FOUND_STATUS]
    table = pl.concat(
        [
            place.drop(FOUND_STATUS),
            network.drop(FOUND_STATUS),
            parsed.select("status"),
            answer.alias("answer").to_frame(),
        ],
        how="horizontal",
    ).with_columns(pl.when(pl.col("status") == OK).then(pl.col("answer")).otherwise(pl.col("status")).alias("status"))
    return table.select(
        *(pl.col(name).alias(f"geo_{name}") for name in {**PLACE, **NETWORK}),
        pl.col("status").alias(status_column(GeoStep.name)),
    )


def _find(public: pl.Series, finder: Finder | None, schema: pl.Schema) -> pl.DataFrame:
    """`schema` and a status per row of `public` (nulls are rows that are not looked up)."""
    if finder is None:
        unknown = [*nulls(schema), pl.lit(NO_DATABASE).alias(FOUND_STATUS)]
        return public.rename(KEY).to_frame().with_columns(unknown).drop(KEY)
    return resolve(public, finder)
