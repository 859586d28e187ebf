"""Names of labels, as Prometheus and Alertmanager take them."""

import re
from typing import Final

_OTHER: Final = re.compile(r"[^A-Za-z0-9_]")


def as_label(name: str) -> str:
    """A name with `_` in the place of what the name of a label cannot hold; it may still begin with a digit.

    >>> as_label("shop-country")
    'shop_country'
    """
    return _OTHER.sub("_", name)
