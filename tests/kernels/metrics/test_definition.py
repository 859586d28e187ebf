"""What a metrics file may say, and what it is told when it is wrong."""

from decimal import Decimal

import polars as pl
import pytest

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.event import FRAME_SCHEMA, MONEY
from ecompulse.kernels.metrics.binding import bind
from ecompulse.kernels.metrics.definition import Window, parse_metrics, parse_window, standard_metrics
from ecompulse.kernels.metrics.expressions import Expression, event_types
from ecompulse.kernels.metrics.typed import LIMIT, Columns

ROWS = pl.DataFrame(
    {
        "event_type": ["purchase", "search", None],
        "quantity": [2, None, 3],
        "price": [Decimal("1.5"), Decimal(2), None],
        "properties": ['{"results":0,"x":"0.25","b":true}', None, '{"results":null,"in":{"ner":"y"}}'],
        "category": ["a.b.c", "a", None],
    },
    schema_overrides={"price": MONEY},
)
COLUMNS = Columns(ROWS.schema, {})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("quantity * price", [30_000, None, None]),
        ("coalesce(quantity, 1) * price - 0.5", [25_000, 15_000, None]),
        ("event_type == 'purchase'", [True, False, None]),
        ("event_type != 'purchase'", [False, True, None]),
        ("event_type not in ('search', 'x')", [True, False, None]),
        ("not (event_type in ['search'])", [True, False, None]),
        ("quantity is null or quantity > 2", [False, True, True]),
        ("price is not null and price >= 1.5", [True, True, False]),
        ("1 < quantity <= 2", [True, None, False]),
        ("properties.results == 0", [True, None, None]),
        ("properties.x == 0.25", [True, None, None]),
        ("properties.x", ["0.25", None, None]),
        ("properties.b == true", [True, None, None]),
        ("properties.in_ is null", [True, True, True]),
        ("path(category, 2)", ["a.b", "a", None]),
        ("path(category, 100)", ["a.b.c", "a", None]),
        ("coalesce(properties.in.ner, 'none')".replace(".in", "['in']"), ["none", "none", "y"]),
        ("coalesce(properties.x, 'none')", ["0.25", "none", "none"]),
        ("properties['results'] == 0", [True, None, None]),
        ("event_type == 'purchase'\n  and price > 1  # dear\n", [True, False, None]),
        ("lower('ABC')", ["abc"]),
        ("-price if event_type == 'purchase' else quantity", [-15_000, None, 30_000]),
        (f"quantity * {LIMIT // 2}", [None, None, None]),  # beyond what an amount can be
    ],
)
def test_expressions(text, values):
    assert ROWS.select(Expression(text).compile(COLUMNS).expr).to_series().to_list() == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "unknown function"),
        ("lambda: 1", "Lambda is not part of the language"),
        ("[x for x in category]", "is not part of the language"),
        ("price[0]", "Subscript is not part of the language"),
        ("price ** 2", "Pow is not part of the language"),
        ("price * price", "one must be a whole number"),
        ("prise > 1", "unknown column 'prise', did you mean price?"),
        ("price = 1", "compare with =="),
        ("price == null", "write `is null`"),
        ("price is 1", "`is` is for null"),
        ("category > 1", "'category' is text, and is compared with a whole number"),
        ("category.x == 1", "only `properties` has members"),
        ("properties == 'x'", "name a property"),
        ("price and true", "is an amount, not a condition"),
        ("event_type in category", "a list of constants"),
        ("price > 0.123456", "more than 4 decimals"),
        ("path(category, 0)", "a number of steps, from 1 to 100"),
        ("path(category, True)", "a number of steps, from 1 to 100"),
        ("path(category, 1000000)", "a number of steps, from 1 to 100"),
        ("price > 1e999", "a number is less than"),
        ("properties.from == 3", "from is a keyword, write properties['from']"),
        ("category['x'] == 1", "only `properties` has members"),
        ("properties['a\"b'] == 1", "a text without quotes"),
        ("price > 1)\n or (price < 3", "is no expression"),
        ("price > 1] or\n [price < 3", "is no expression"),
        ("price > 1\n price < 3", "is no expression"),
        ("(" * 5_000, "at most 2000 characters"),
        ("(" * 199 + "1" + ")" * 199 + " +", "is no expression"),
        ("(" * 999 + "1" + ")" * 999, "is no expression"),
        ("+".join("1" * 251), "nested at most 250 deep"),
        ("not " * 498 + "true", "nested at most 250 deep"),
        ("-" * 1999 + "1", "nested at most 250 deep"),
        ("(" * 16 + "quantity" + " in (1, 2))" * 16 + " in (true, false)", "is too large"),
        ("1 < (" + "1 if 1 < (" * 20 + "quantity" + ") < 3 else 2" * 20 + ") < 3", "is too large"),
    ],
)
def test_a_wrong_expression_says_why(text, message):
    with pytest.raises(ValueError, match=r".") as error:
        Expression(text).compile(COLUMNS)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("event_type == 'a'", {"a"}),
        ("event_type in ('a', 'b') and price > 1", {"a", "b"}),
        ("event_type == 'a' or (event_type == 'b' and price > 1)", {"a", "b"}),
        ("event_type == 'a' or price > 1", None),
        ("event_type != 'a'", None),
        ("not event_type == 'a'", None),
    ],
)
def test_event_types_of_a_filter(text, types):
    assert event_types(Expression(text).tree) == types


def test_windows():
    assert parse_window("tumbling 1m") == Window(60_000, 60_000)
    assert parse_window("sliding 10m/1m").label == "10m/1m"
    assert parse_window("tumbling 90s").label == "90s"
    for wrong in ("1m", "tumbling 10m/1m", "sliding 10m", "sliding 1m/10m", "tumbling 0", "tumbling 1y", 60):
        with pytest.raises(ValueError, match=r"window|duration|slide"):
            parse_window(wrong)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("{measure: cunt, windows: [tumbling 1m]}", "metrics.a.measure: expected a mapping"),
        ("{measure: {sm: price}, windows: [tumbling 1m]}", "metrics.a.measure.sm: unknown key, did you mean sum?"),
        ("{measure: {sum: pri ce}, windows: [tumbling 1m]}", "metrics.a.measure.sum: 'pri ce' is no expression"),
        ("{measure: {sum: prise}, windows: [tumbling 1m]}", "metrics.a.measure[0].sum: unknown column 'prise'"),
        ("{measure: {sum: brand}, windows: [tumbling 1m]}", "metrics.a.measure[0].sum: 'brand': text is no number"),
        ("{measure: count, windows: [tumbling 1m], filter: price}", "metrics.a.filter: 'price' is an amount"),
        ("{measure: count, windows: []}", "metrics.a.windows: give at least one"),
        ("{measure: count, windows: [tumbling 1m, tumbling 60s]}", "metrics.a.windows: one is given twice"),
        ("{measure: count, windows: [tumbling 1w]}", "metrics.a.windows[0]: '1w' is no duration"),
        ("{measure: count}", "metrics.a.windows: required"),
        ("{windows: [tumbling 1m]}", "metrics.a.measure: required"),
        ("{measure: {ratio: [count]}, windows: [tumbling 1m]}", "metrics.a.measure.ratio: give two measures"),
        (
            "{measure: {ratio: {numerator: count, denominator: {mean: price}}}, windows: [tumbling 1m]}",
            "metrics.a.measure.ratio.denominator: mean cannot stand here",
        ),
        ("{measure: {sum: price, k: 3}, windows: [tumbling 1m]}", "metrics.a.measure.k: belongs to `top`"),
        ("{measure: {top: brand, k: 0}, windows: [tumbling 1m]}", "metrics.a.measure.k: must be 1 to"),
        ("{measure: {top: price}, windows: [tumbling 1m]}", "metrics.a.measure[0].top: 'price': an amount is no item"),
        ("{measure: {top: 0.5}, windows: [tumbling 1m]}", "metrics.a.measure.top: expected an expression"),
        ("{measure: {quantiles: price, at: [2]}, windows: [tumbling 1m]}", "metrics.a.measure.at: give prob"),
        ("{measure: {sum: price, count: price}, windows: [tumbling 1m]}", "metrics.a.measure: give exactly one"),
        ("{measure: {rate: {max: price}}, windows: [tumbling 1m]}", "metrics.a.measure.rate: max cannot stand"),
        (
            "{measure: count, windows: [tumbling 1m], dimensions: {a-b: brand, a_b: category}}",
            "metrics.a.dimensions.a_b: as a label it would be the same as a-b",
        ),
        ("{measure: count, windows: [tumbling 1m], dimensions: {x: a b}}", "metrics.a.dimensions.x: 'a b' is no"),
        (
            "{measure: count, windows: [tumbling 1m], dimensions: [event_time]}",
            "metrics.a.dimensions.event_time: a time",
        ),
        (
            f"{{measure: {{sum: {'+'.join(['tax'] * 200)}+{'+'.join('1' * 100)}}}, windows: [tumbling 1m]}}",
            "metrics.a.measure.sum: an expression is nested at most 250 deep",
        ),
        ("{measure: count, windows: [tumbling 1m], fill: -1}", "metrics.a.fill: must be 0 or more"),
        ("{measure: count, windows: [tumbling 1m], fill: 1000000}", "metrics.a.fill: must be 0 or more, and at most"),
        ("{measure: count, windows: [tumbling 36500d], fill: 11}", "metrics.a.fill: 11 windows of these are longer"),
        ("{measure: count, windows: [tumbling 36501d]}", "metrics.a.windows[0]: '36501d' is longer than 100 years"),
        (
            "{measure: {quantiles: price, at: [.nan]}, windows: [tumbling 1m]}",
            "metrics.a.measure.at[0]: expected a",
        ),
        ("{measure: count, windows: [tumbling 1m], filter: price > 1e999}", "metrics.a.filter: a number is less"),
        ("{measure: count, windows: [tumbling 1m], early: 1}", "metrics.a.early: expected true or false"),
    ],
)
def test_a_wrong_metric_is_one_line_with_its_path(metric, message):
    with pytest.raises(ConfigError) as error:
        bind(parse_metrics(f"metrics:\n  a: {metric}", "m.yaml"), FRAME_SCHEMA)
    assert str(error.value).removeprefix("m.yaml: ").startswith(message)
    assert "\n" not in str(error.value)


def test_a_set_without_metrics_is_refused():
    with pytest.raises(ConfigError, match=r"^m\.yaml: metrics: give at least one"):
        parse_metrics("metrics: {}", "m.yaml")


def test_a_property_alone_is_the_condition_that_it_is_beside_another():
    alone, beside = (Expression(text).condition(COLUMNS) for text in ("properties.b", "properties.b and true"))
    assert ROWS.select(alone=alone)["alone"].to_list() == ROWS.select(beside=beside)["beside"].to_list() == [
        True, None, None,
    ]  # fmt: skip


def test_conditions_with_comments_are_joined():
    ratio = "{ratio: [{count: price, where: 'price > 1 # c'}, count], where: 'quantity > 0 # d'}"
    plan = bind(parse_metrics(f"metrics: {{a: {{measure: {ratio}, windows: [tumbling 1m]}}}}"), ROWS.schema)
    condition = plan.metrics[0].parts[0].condition
    assert ROWS.select(both=condition)["both"].to_list() == [True, None, None]


def test_a_name_that_no_table_could_have_is_refused():
    with pytest.raises(ConfigError, match=r"metrics\.Big Name: a name has small letters"):
        parse_metrics("metrics: {Big Name: {measure: count, windows: [tumbling 1m]}}")


def test_the_shipped_set_binds_to_plain_and_to_enriched_events():
    plain = bind(standard_metrics(), FRAME_SCHEMA, skip=True)
    assert set(plain.skipped) == {"revenue_by_country", "revenue_by_channel", "revenue_by_device"}
    based = {f"{name}_base": MONEY for name in ("price", "discount", "amount", "tax", "shipping")}
    extra = dict.fromkeys(("geo_country", "campaign_channel", "device_class", "visitor"), pl.String())
    rich = bind(standard_metrics(), pl.Schema({**FRAME_SCHEMA, **based, **extra}), base_currency="EUR")
    assert not rich.skipped
    assert "price_base" in rich.columns
    assert "price" not in rich.columns
    assert all(metric.help for metric in standard_metrics().metrics.values()), "each has its formula in words"


def test_an_absent_column_is_an_error_unless_skipped():
    one = parse_metrics("metrics: {a: {measure: count, windows: [tumbling 1m], dimensions: [geo_country]}}")
    with pytest.raises(ConfigError, match=r"metrics.a.dimensions.geo_country: unknown column 'geo_country'"):
        bind(one, FRAME_SCHEMA)
    based = parse_metrics("metrics: {a: {measure: {sum: price_base}, windows: [tumbling 1m]}}")
    with pytest.raises(ConfigError, match="needs a base currency"):
        bind(based, pl.Schema({**FRAME_SCHEMA, "price_base": MONEY}))
