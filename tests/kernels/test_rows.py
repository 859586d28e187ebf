"""What all kernels do with rows alike."""

from decimal import Decimal

import polars as pl
import pytest

from ecompulse.kernels.event import MONEY
from ecompulse.kernels.rows import line_amount


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [
        ("2.5", 3, "7.5"),
        ("2.5", None, None),
        (None, 3, None),
        ("300", 4_006_381_333_931, None),
        ("99999999999999.9999", 9_223_372_036_854_775_807, None),
        ("-4", -9_223_372_036_854_775_808, None),
        ("9999999", 9_999_999, "99999980000001"),
    ],
)
def test_a_lines_amount_is_null_where_money_cannot_hold_it(price, quantity, amount):
    rows = pl.DataFrame(
        {"price": [price and Decimal(price)], "quantity": [quantity]},
        schema={"price": MONEY, "quantity": pl.Int64},
    )
    found = rows.select(line_amount(pl.col("price"), pl.col("quantity"))).item()
    assert found == (amount and Decimal(amount))
