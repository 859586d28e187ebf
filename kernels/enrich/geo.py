"""Where an address is: country, place and network."""

from typing import Final

import polars as pl

from ecompulse.kernels.enrich.addresses import classify
from ecompulse.kernels.enrich.lookup import FOUND_STATUS, KEY, Finder, resolve
from ecompulse.kernels.enrich.status import NO_DATABASE, NO_KEY, OFF, OK, status_column

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
"""Always all of these, whichever databases there are."""


def apply(
    events: pl.DataFrame, places: Finder | None, networks: Finder | None, *, enabled: bool = True
) -> pl.DataFrame:
    """The batch with `geo_*` and the step's status; only public addresses are looked up, each once.

    Without a database of places the status of a public address is `no_database` (and `ok` once a database
    of networks knows it). Other statuses: those of `addresses.classify` and of a look-up.
    """
    status = status_column("geo")
    if not enabled:
        return events.with_columns(*nulls(COLUMNS), pl.lit(OFF).alias(status))
    if all_null(events, "ip"):
        return events.with_columns(*nulls(COLUMNS), pl.lit(NO_KEY).alias(status))
    unique = events["ip"].unique()
    parsed = classify(unique)
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
    table = table.select(
        *(pl.col(name).alias(f"geo_{name}") for name in {**PLACE, **NETWORK}), pl.col("status").alias(status)
    )
    joined = events.select(pl.col("ip").alias(KEY)).join(
        table.with_columns(unique.alias(KEY)), on=KEY, how="left", maintain_order="left", nulls_equal=True
    )
    return pl.concat([events, joined.drop(KEY)], how="horizontal")


def all_null(events: pl.DataFrame, *names: str) -> bool:
    """Whether some columns hold nothing at all, so that a step has nothing to do."""
    return all(events[name].null_count() == events.height for name in names)


def nulls(schema: pl.Schema) -> list[pl.Expr]:
    """Columns of nulls."""
    return [pl.lit(None, dtype).alias(name) for name, dtype in schema.items()]


def _find(public: pl.Series, finder: Finder | None, schema: pl.Schema) -> pl.DataFrame:
    """`schema` and a status per row of `public` (nulls are rows that are not looked up)."""
    if finder is None:
        unknown = [*nulls(schema), pl.lit(NO_DATABASE).alias(FOUND_STATUS)]
        return public.rename(KEY).to_frame().with_columns(unknown).drop(KEY)
    return resolve(public, finder)
