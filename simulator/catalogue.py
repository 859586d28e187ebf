"""What the shop sells: categories, brands, products, and their prices over time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecompulse.simulator.draw import MAX_TOTAL, Bools, Draw, Ints, cumulative, log_normal, zipf
from ecompulse.simulator.settings import DAY_MS, Settings


@dataclass(frozen=True)
class Category:
    """A category: dotted path, weight in demand, median price (EUR cents), names of its things, brands."""

    path: str
    weight: int
    median: int
    nouns: tuple[str, ...]
    brands: tuple[str, ...]


CATEGORIES: Final = (
    Category("electronics.smartphone", 18, 45_000, ("Phone", "Phone Lite", "Phone Max"), ("Norda", "Kumo", "Telar")),
    Category("electronics.audio.headphone", 12, 9_000, ("Headphones", "Earbuds"), ("Sonaro", "Kumo", "Basswerk")),
    Category("electronics.video.tv", 6, 60_000, ("LED TV", "OLED TV"), ("Visara", "Telar")),
    Category("computers.notebook", 8, 90_000, ("Notebook", "Ultrabook"), ("Norda", "Karbon", "Ikari")),
    Category("computers.peripherals.mouse", 5, 3_500, ("Mouse", "Trackball"), ("Karbon", "Pikolo")),
    Category("computers.peripherals.keyboard", 4, 7_000, ("Keyboard",), ("Karbon", "Klikk")),
    Category("appliances.kitchen.kettle", 4, 3_900, ("Kettle",), ("Brühl", "Casa Uno")),
    Category(
        "appliances.kitchen.coffee_machine",
        5,
        19_000,
        ("Espresso Machine", "Coffee Maker"),
        ("Brühl", "Lavano"),
    ),
    Category("appliances.environment.vacuum", 4, 17_000, ("Vacuum", "Robot Vacuum"), ("Casa Uno", "Polvo")),
    Category("apparel.shoes.sneakers", 9, 8_500, ("Sneakers", "Runners"), ("Stride", "Volant", "Tavi")),
    Category("apparel.jacket", 5, 11_000, ("Jacket", "Parka"), ("Fjell", "Tavi")),
    Category("apparel.shirt", 6, 3_200, ("Shirt", "Polo"), ("Tavi", "Lino", "Modena")),
    Category("kids.toys", 6, 2_400, ("Blocks", "Puzzle", "Train Set"), ("Holzbär", "Pikolo")),
    Category("furniture.living_room.sofa", 2, 70_000, ("Sofa",), ("Casa Uno", "Fjell")),
    Category("sport.bicycle", 2, 65_000, ("City Bike", "Gravel Bike"), ("Volant", "Radwerk")),
    Category("beauty.skin_care", 4, 1_900, ("Cream", "Serum"), ("Aloria", "Lino")),
)

CATEGORY_WEIGHTS: Final = cumulative([category.weight for category in CATEGORIES])

_FAITHFUL: Final = 0.6
_TIME_BITS: Final = 43
_CHANGES_PER_DAY: Final = 0.03
_MARKUPS: Final = np.asarray([800, 850, 900, 950, 1000, 1050, 1100], dtype=np.int64)
_SPREAD: Final = log_normal(1000, 0.55, 6000)
_WHOLE_EURO_FROM: Final = 1_000  # cents


@dataclass(frozen=True)
class Catalogue:
    """Products, contiguous by category, the popular ones first; rows of the arrays are products.

    Attributes:
        products: the table at the start (`product_id title category brand price cost margin currency`).
        updates: new versions since (the same and `updated_at`), by time.
        appeal: cumulative demand; a category's products are one run of it.
        runs: first and last+1 product of each category.
        versions: sorted keys, product << 43 | ms since start; prices: EUR cents of each version.
    """

    products: pl.DataFrame
    updates: pl.DataFrame
    category: Ints
    appeal: Ints
    runs: Ints
    versions: Ints
    prices: Ints

    def choose(self, draw: Draw, favourite: Ints) -> Ints:
        """A product for each favourite category: from it, or by demand from all."""
        edges = np.concatenate([np.zeros(1, np.int64), self.appeal])
        low, high = edges[self.runs[favourite]], edges[self.runs[favourite + 1]]
        faithful: Bools = draw.chance(len(favourite), _FAITHFUL)
        low, high = np.where(faithful, low, 0), np.where(faithful, high, edges[-1])
        drawn = low + draw.below(len(favourite), high - low)
        return np.searchsorted(self.appeal, drawn, side="right").astype(np.int64)

    def price(self, product: Ints, since_start: Ints) -> Ints:
        """EUR cents of each product in force, ms after the start."""
        keys = (product << _TIME_BITS) | np.maximum(since_start, 0)
        found: Ints = self.prices[np.searchsorted(self.versions, keys, side="right") - 1]
        return found


def catalogue(settings: Settings, draw: Draw) -> Catalogue:
    """The catalogue of a shop and its price changes over the simulated days."""
    size = max(settings.products, len(CATEGORIES))
    runs = _runs(size)
    category = np.repeat(np.arange(len(CATEGORIES), dtype=np.int64), np.diff(runs))
    rank = np.arange(size, dtype=np.int64) - runs[category]
    demand = np.concatenate([_demand(c.weight, int(n)) for c, n in zip(CATEGORIES, np.diff(runs), strict=True)])
    median = np.asarray([c.median for c in CATEGORIES], dtype=np.int64)[category]
    price = _retail(median * draw.quantile(size, _SPREAD) // 1000)
    cost = price * (55 + draw.below(size, 25)) // 100
    titles = _titles(category, rank)
    products = _table(np.arange(size, dtype=np.int64), titles, price, cost)
    product, time, changed = _changes(settings, draw, price)
    updates = _table(product, titles, changed, cost).with_columns(updated_at=pl.Series(settings.start_ms + time))
    everything = np.concatenate([np.arange(size, dtype=np.int64) << _TIME_BITS, (product << _TIME_BITS) | time])
    order = np.argsort(everything, kind="stable")
    prices = np.concatenate([price, changed])[order]
    return Catalogue(products, updates, category, np.cumsum(demand), runs, everything[order], prices)


def _runs(size: int) -> Ints:
    """Bounds of the categories in the catalogue: shares of `size` by weight, at least one each."""
    spare = size - len(CATEGORIES)
    shares = np.concatenate([np.zeros(1, np.int64), CATEGORY_WEIGHTS * spare // int(CATEGORY_WEIGHTS[-1])])
    runs: Ints = shares + np.arange(len(CATEGORIES) + 1)
    return runs


def _demand(weight: int, size: int) -> Ints:
    """Demand of a category's products by rank: Zipf, scaled to the category's weight."""
    shape = zipf(size)
    share = (MAX_TOTAL // 2) // int(CATEGORY_WEIGHTS[-1]) * weight
    demand: Ints = np.maximum(shape * share // int(shape.sum()), 1)
    return demand


def _retail(cents: Ints) -> Ints:
    """Prices as shops write them: 12.99, 349.00."""
    retail: Ints = np.where(cents < _WHOLE_EURO_FROM, cents // 10 * 10 + 9, cents // 100 * 100 + 99)
    return retail


def _changes(settings: Settings, draw: Draw, price: Ints) -> tuple[Ints, Ints, Ints]:
    """Product, ms since start (whole minutes, never 0) and new EUR cents of each change, by time."""
    count = int(len(price) * settings.duration_ms * _CHANGES_PER_DAY) // DAY_MS
    product = draw.below(count, len(price))
    time = (1 + draw.between(count, 0, max(settings.duration_ms // 60_000, 1))) * 60_000
    _, first = np.unique((product << _TIME_BITS) | time, return_index=True)  # one version per product and minute
    product, time = product[first], time[first]
    order = np.argsort(time, kind="stable")
    product, time = product[order], time[order]
    markup = _MARKUPS[draw.below(len(product), len(_MARKUPS))]
    return product, time, _retail(price[product] * markup // 1000)


def _titles(category: Ints, rank: Ints) -> pl.DataFrame:
    """Title, brand and category of every product."""
    rows = []
    for kind, number in zip(category.tolist(), rank.tolist(), strict=True):
        found = CATEGORIES[kind]
        brand, noun = found.brands[number % len(found.brands)], found.nouns[number // 7 % len(found.nouns)]
        rows.append((f"{brand} {noun} {100 + number}", found.path, brand))
    return pl.DataFrame(rows, schema={"title": pl.String, "category": pl.String, "brand": pl.String}, orient="row")


def _table(product: Ints, titles: pl.DataFrame, price: Ints, cost: Ints) -> pl.DataFrame:
    """Rows of the product table; money decimal(18,4) in EUR, margin a share of the price."""
    money = pl.Decimal(18, 4)
    frame = pl.DataFrame({"number": product, "price": price, "cost": cost[product]})
    frame = frame.select(
        product_id=product_ids(pl.col("number")),
        price=(pl.col("price").cast(money) / 100).cast(money),
        cost=(pl.col("cost").cast(money) / 100).cast(money),
        margin=(((pl.col("price") - pl.col("cost")) * 10_000 // pl.col("price")).cast(money) / 10_000).cast(money),
        currency=pl.lit("EUR"),
    )
    return pl.concat([frame[:, :1], titles[product], frame[:, 1:]], how="horizontal")


def product_ids(number: pl.Expr) -> pl.Expr:
    """Names of products from their positions."""
    return pl.concat_str(pl.lit("p"), number.cast(pl.String).str.zfill(6))
