"""A first mapping for rows that nobody has described: names that mean a field, and what their values look like."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl
import yaml

from ecompulse.kernels.event import BY_NAME, EVENT_TYPES
from ecompulse.kernels.foreign.paths import is_plain
from ecompulse.kernels.foreign.times import TimeReading, layout_of

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "event_id": ("eventid", "messageid", "uuid", "uid", "id", "invoiceid", "orderid", "ordernumber"),
    "event_type": ("eventtype", "eventname", "event", "action", "activity", "type", "topic", "op"),
    "event_time": (
        "eventtime", "eventtimestamp", "timestamp", "ts", "time", "occurredat", "createdat", "created", "datetime",
        "date", "orderdate", "invoicedate", "purchasedate", "processedat", "receivedat", "tsms",
    ),
    "user_id": ("userid", "customerid", "customer", "user", "clientid", "memberid", "accountid", "buyerid", "email"),
    "anonymous_id": ("anonymousid", "visitorid", "userpseudoid", "deviceuserid", "cookieid", "domainuserid"),
    "session_id": ("sessionid", "session", "usersession", "visitid", "gasessionid"),
    "device_id": ("deviceid",),
    "product_id": ("productid", "sku", "itemid", "itemsku", "stockcode", "articleid", "article", "variantid", "asin"),
    "category": ("category", "categorycode", "itemcategory", "productcategory"),
    "brand": ("brand", "itembrand", "vendor", "manufacturer"),
    "quantity": ("quantity", "qty", "count", "units"),
    "price": ("price", "unitprice", "itemprice", "priceunit"),
    "discount": ("discount", "totaldiscount"),
    "currency": ("currency", "currencycode", "cur"),
    "order_id": ("orderid", "transactionid", "invoiceno", "invoice", "basketid", "ordernumber", "orderno", "ordername"),
    "payment_method": ("paymentmethod", "paymenttype"),
    "amount": ("totalprice", "ordertotal", "grandtotal", "total", "revenue", "amount", "paymentvalue"),
    "tax": ("tax", "totaltax"),
    "shipping": ("shipping", "shippingtotal", "freightvalue"),
    "ip": ("ip", "ipaddress", "browserip", "useripaddress"),
    "user_agent": ("useragent", "ua"),
    "url": ("url", "pageurl", "pagelocation", "location"),
    "referrer": ("referrer", "referer", "pagereferrer"),
    "query": ("query", "searchterm", "searchquery", "keyword"),
}  # fmt: skip
"""Names that columns have, without case and marks, by field; the likeliest first."""

TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "page_view": ("pageview", "page", "visit", "screen"),
    "product_view": ("productview", "view", "viewitem", "productviewed", "detail", "productdetail", "clicked", "click"),
    "search": ("search", "viewsearchresults", "productssearched"),
    "add_to_cart": ("addtocart", "cart", "productadded", "addtobasket", "addcart", "basket"),
    "remove_from_cart": ("removefromcart", "productremoved", "removefrombasket"),
    "checkout_start": ("checkoutstart", "begincheckout", "checkoutstarted", "checkout"),
    "purchase": ("purchase", "transaction", "buy", "ordercompleted", "order", "sale", "bought"),
    "payment": ("payment", "paid"),
    "refund": ("refund", "return", "orderrefunded"),
    "login": ("login", "signin", "signedin", "identify"),
    "logout": ("logout", "signout", "signedout"),
    "signup": ("signup", "register", "signedup"),
}
FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S UTC", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d-%m-%Y %H:%M", "%d %b %Y %H:%M:%S", "%Y-%m-%d",
    "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d%H%M%S", "%Y%m%d",
)  # fmt: skip
_NEEDS_ITS_OBJECT: Final = ("id", "uid", "uuid")
"""Keys that mean nothing without the one before: `customer.id` is no id of an event."""
_KINDS_SHOWN: Final = 30
_DEPTH: Final = 4
_COMMA: Final = re.compile(r"[^0-9]*-?[0-9]{1,3}(?:\.?[0-9]{3})*,[0-9]{1,2}[^0-9]*")

Found = Mapping[str, list[Any]]


def leaves(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values that are there, by path; `items[].x` for those in elements of lists."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        for path, value in _walk("", row, 0):
            found.setdefault(path, []).append(value)
    return found


def _walk(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and depth < _DEPTH:
        for key, item in value.items():
            name = key if depth == 0 or is_plain(key) else f'"{key}"'
            yield from _walk(f"{path}.{name}" if path else name, item, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping) and "[]" not in path:
        for item in value:
            yield from _walk(f"{path}[]", item, depth)
    elif value is not None and value != "" and not isinstance(value, list | Mapping):
        yield path, value


def draft(rows: Sequence[Mapping[str, Any]], written: Mapping[str, Any]) -> str:
    """A mapping of these rows as YAML, with what is left to do as comments; `written` is the `format` section."""
    found = leaves(list({repr(row): row for row in rows}.values()))
    lines = _line_list(found)
    header = {path: values for path, values in found.items() if "[]" not in path}
    fields = _match(header, skip=("product_id", "quantity", "price", "category", "brand") if lines else ())
    if "event_time" not in fields and (moment := _time_like(header)):
        fields["event_time"] = moment
    if not lines and _repeats(header.get(fields.get("event_id", ""), ())):
        del fields["event_id"]  # one of several rows, such as the order of lines
    own = _match({path: found[path] for path in found if path.startswith(lines)}, only=_OF_LINES) if lines else {}
    parts: list[tuple[str, Any]] = [("format", dict(written))] if written else []
    parts.append(("fields", fields))
    if lines:
        parts.append(("events", _shapes(fields, header, lines, own)))
    parts += _kinds(fields, header, lines)
    parts += _times(header.get(fields.get("event_time", ""), []))
    prices = [value for name in ("price", "amount") for value in found.get({**fields, **own}.get(name, ""), ())]
    if any(isinstance(value, str) and _COMMA.fullmatch(value) for value in prices):
        parts.append(("numbers", {"decimal": ",", "thousands": "."}))
    if "event_id" not in fields:
        parts.append(("event_id", "hash"))
    text = "".join(yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=100) for key, value in parts)
    return text + "".join(f"# {line}\n" for line in _left(fields, header, found, own))


def _repeats(values: Sequence[Any]) -> bool:
    return len(set(map(str, values))) < len(values)


def _shapes(fields: dict[str, str], header: Found, lines: str, own: Mapping[str, str]) -> list[dict[str, Any]]:
    """Lines, and what is beside them: the order, or in a stream of many kinds of events the others."""
    if len(set(map(str, header.get(fields.get("event_type", ""), ())))) > 1:
        return [{"when": {f"{lines[:-1]}0]": "*"}, "explode": lines, "fields": own}, {"when": "otherwise"}]
    fields.pop("event_type", None)
    if "event_id" in fields:
        fields.setdefault("order_id", fields["event_id"])
    shape = {"explode": lines, "constants": {"event_type": "purchase"}, "fields": own}
    if "amount" not in fields:
        return [shape]
    return [shape, {"constants": {"event_type": "payment"}, "fields": {"amount": fields.pop("amount")}}]


_OF_LINES: Final = ("product_id", "quantity", "price", "category", "brand", "discount")


def _line_list(found: Found) -> str:
    """The list that looks most like lines of an order; empty for none."""
    lists = dict.fromkeys(path[: path.index("[]") + 2] for path in found if "[]" in path)
    scored = {name: len(_match({path: found[path] for path in found if path.startswith(name)}, only=_OF_LINES))
              for name in lists}  # fmt: skip
    best = max(scored, key=lambda name: scored[name], default="")
    return best if best and scored[best] > 1 else ""


def _match(found: Found, only: Sequence[str] = (), skip: Sequence[str] = ()) -> dict[str, str]:
    """Field to path, by what paths are called: their last key, also with the one before."""
    called: dict[str, str] = {}
    for path in sorted(found, key=lambda path: path.count(".")):
        keys = [_bare(key) for key in re.split(r"\.|\[\]", path) if key] or [""]
        if len(keys) == 1 or keys[-1] not in _NEEDS_ITS_OBJECT:
            called.setdefault(keys[-1], path)
        called.setdefault("".join(keys[-2:]), path)
    fields = {}
    for name, names in NAMES.items():
        if (only and name not in only) or name in skip:
            continue
        words = names if _bare(name) in names else (_bare(name), *names)
        known = next((called[word] for word in words if word in called), None)
        if known is not None:
            fields[name] = known
    return fields


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _kinds(fields: Mapping[str, str], header: Found, lines: str) -> list[tuple[str, Any]]:
    if lines and "event_type" not in fields:
        return []
    values = [str(value) for value in header.get(fields.get("event_type", ""), ())]
    if not values:
        bought = "order_id" in fields or "price" in fields
        return [("constants", {"event_type": "purchase" if bought else "page_view"})]
    names = {word: kind for kind, words in TYPES.items() for word in (_bare(kind), *words)}
    known = {value: names[_bare(value)] for value in dict.fromkeys(values) if _bare(value) in names}
    known = {value: kind for value, kind in known.items() if value != kind}
    return [("event_types", known)] if known else []


def _times(values: Sequence[Any]) -> list[tuple[str, Any]]:
    texts = [str(value) for value in values]
    if not texts:
        return []
    layouts = _layouts(texts)
    if not layouts and all(re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) for text in texts):
        return [("time", {"unit": "auto"})]
    iso = all(re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}", text) for text in texts)
    if iso and all(re.search(r"(Z|[+-][0-9]{2}:?[0-9]{2})$", text) for text in texts):
        return []
    if iso and not texts[0].endswith("UTC"):
        return [("time", {"zone": "UTC"})]
    if layouts:
        TimeReading(format=(layouts[0],), zone="UTC")
        return [("time", {"format": layouts[0], "zone": "UTC"})]
    return [("time", {"format": ["iso", "number"], "zone": "UTC", "unit": "auto"})]


def _layouts(texts: Sequence[str]) -> list[str]:
    """The formats that read all of these."""
    digits = [len(text) if text.isdigit() else 0 for text in texts]
    if set(digits) - {0, 8, 14}:  # a number since 1970
        return []
    given = pl.Series(texts)
    reads = (given.str.to_datetime(layout_of(layout), time_unit="ms", strict=False) for layout in FORMATS)
    return [layout for layout, read in zip(FORMATS, reads, strict=True) if not read.has_nulls()]


def _time_like(header: Found) -> str | None:
    """A column in which everything looks like a date."""
    looks = re.compile(
        r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4} [0-9]{1,2}:[0-9]{2}.*"
    )
    return next((path for path, values in header.items() if all(looks.fullmatch(str(value)) for value in values)), None)


def _left(fields: Mapping[str, str], header: Found, found: Found, own: Mapping[str, str]) -> Iterator[str]:
    """What a person has to look at."""
    if "event_time" not in fields:
        yield "TODO fields.event_time: no column looks like the time of the event"
    elif any("zone" in said for _, said in _times(header[fields["event_time"]])):
        yield "Check time: the zone of times that have none is a guess"
    if len(layouts := _layouts([str(value) for value in header.get(fields.get("event_time", ""), ())])) > 1:
        yield f"Check time: {' and '.join(layouts)} read all of these rows"
    if not {"user_id", "anonymous_id"} & fields.keys():
        yield "TODO fields.user_id or fields.anonymous_id: no column looks like a person or a device"
    kinds = [str(value) for value in dict.fromkeys(header.get(fields.get("event_type", ""), ()))]
    other = [kind for kind in kinds if "event_type" in fields and kind not in EVENT_TYPES and _bare(kind) not in _KNOWN]
    if other:
        yield f"Kinds of events that are kept as they are: {', '.join(other[:_KINDS_SHOWN])}"
    if "currency" not in fields and any(BY_NAME[name].kind == "money" for name in {**fields, **own}):
        yield "TODO fields.currency, or default_currency: EUR"
    used = {*fields.values(), *own.values()}
    rest = [path for path in found if path not in used]
    if rest:
        yield f"Kept in properties: {', '.join(rest[:_KINDS_SHOWN])}{' and others' if len(rest) > _KINDS_SHOWN else ''}"


_KNOWN: Final = frozenset(word for words in TYPES.values() for word in words)
