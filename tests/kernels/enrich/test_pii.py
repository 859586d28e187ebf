"""The PII policy: nothing that it covers is left, ids stay apart, and JSON stays JSON."""

import hashlib
import hmac
import io
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.decode import decode
from ecompulse.kernels.enrich import pii
from ecompulse.kernels.enrich.pii import PiiStep
from ecompulse.kernels.enrich.properties import protect_property
from ecompulse.kernels.event import FRAME_SCHEMA, RAW_SCHEMA
from support.examples import examples

KEY = "a key of sixteen or more"


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def policy(**kwargs: object) -> PiiStep:
    return PiiStep(key="env:K", **kwargs)  # type: ignore[arg-type]


local = st.from_regex(r"[a-zA-Z0-9_]([a-zA-Z0-9_.+\-]{0,8}[a-zA-Z0-9_])?", fullmatch=True)
emails = st.tuples(
    local, st.sampled_from(["@", "%40"]), st.sampled_from(["example.com", "mail.co.uk", "bücher.de"])
).map("".join)
before = st.sampled_from(["", " ", "mail: ", "<", '"', "'", ", ", "?to=", "/", "\n"])
after = st.sampled_from([" ", ">", '"', "'", ", ", "&x=1 ", "/y ", "?", "; "])
texts = st.lists(st.tuples(before, emails, after), max_size=3)


@given(st.lists(texts, max_size=5))
def test_emails_in_any_text_are_hidden(events, cases):
    found = [[email for _, email, _ in case] for case in cases]
    rows = [{"query": "".join(map("".join, case))} for case in cases]
    masked = pii.hide(events(rows), policy(emails="mask"), KEY)["query"]
    hashed = pii.hide(events(rows), policy(emails="hash"), KEY)["query"]
    for inside, mask, hashes in zip(found, masked, hashed, strict=True):
        for email in inside:
            assert email not in mask
            assert email not in hashes
            assert digest(email.replace("%40", "@").lower()) in hashes


def test_hashes_of_overlapping_addresses_are_not_mixed_up(events):
    rows = [{"query": "aa@b.com a@b.com a@b.co A@b.com"}]
    found = pii.hide(events(rows), policy(emails="hash"), KEY)["query"][0]
    assert found.split() == [digest(e) for e in ("aa@b.com", "a@b.com", "a@b.co", "a@b.com")]


def test_emails_as_identifiers_are_hashed_so_that_people_stay_apart(events):
    rows = [{"user_id": user, "event_id": user} for user in ("ann@example.com", "bob@example.com", "u7")]
    found = pii.hide(events(rows), policy(emails="mask"), KEY)
    assert found["user_id"].to_list() == [digest("ann@example.com"), digest("bob@example.com"), "u7"]
    assert found["event_id"].n_unique() == 3


def test_named_fields_and_ip(events):
    rows = [{"ip": "1.2.3.4", "card_id": "c1", "query": "shoes", "payment_method": "visa"}, {}]
    fields = {"card_id": "hash", "query": "mask", "payment_method": "drop"}
    found = pii.hide(events(rows), policy(ip="mask", fields=fields), KEY)
    assert found.select("ip", "card_id", "query", "payment_method").rows() == [
        ("1.2.3.0", digest("c1"), "***", None), (None, None, None, None),
    ]  # fmt: skip
    assert {name: found.schema[name] for name in FRAME_SCHEMA} == dict(FRAME_SCHEMA)
    hashed = pii.hide(events(rows), policy(ip="hash"), KEY)
    assert hashed["ip"].to_list() == [digest("1.2.3.4"), None]
    assert pii.hide(events(rows), policy(ip="drop"), KEY)["ip"].to_list() == [None, None]


def test_the_given_frame_is_not_changed(events):
    rows = [{"query": "a@b.com", "properties": '{"x":"a@b.com","y":{"z":1}}'}]
    batch, copy = events(rows), events(rows)
    pii.hide(batch, policy(emails="hash", fields={"properties.y": "hash"}), KEY)
    assert batch.equals(copy)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6) | st.just('","x":"y'),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y", "a b"]), inner, max_size=2),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["x", "y", 'q"x', "a b"]), values, max_size=4)


def hidden(value, name, replaced):
    if isinstance(value, list):
        return [hidden(item, name, replaced) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: (None if v is None else replaced) if k == name else hidden(v, name, replaced) for k, v in value.items()}


@examples(100)
@given(st.lists(objects, max_size=4), st.booleans(), st.booleans(), st.sampled_from(["drop", "mask"]))
def test_a_property_is_hidden_wherever_it_stands(cases, spaced, escaped, action):
    separators = (", ", ": ") if spaced else (",", ":")
    column = pl.Series(
        "properties", [json.dumps(c, separators=separators, ensure_ascii=escaped) for c in cases], pl.String
    )
    found = protect_property(column, "x", lambda v: pii.protect(v, action, None))
    expected = [hidden(case, "x", None if action == "drop" else "***") for case in cases]
    assert [json.loads(text) for text in found] == expected


def test_nested_properties_and_escapes(events):
    data = [
        '{"card":{"holder":"Ann","type":"v"},"holder":"stays"}',
        r'{"mail":"ann\u0040example.com","\u0068older":1}',
        '{"x":1}',
        None,
    ]
    fields = {"properties.card.holder": "mask"}
    found = pii.hide(events([{"properties": text} for text in data]), policy(emails="mask", fields=fields), KEY)
    assert found["properties"].to_list() == [
        '{"card":{"holder":"***","type":"v"},"holder":"stays"}', '{"mail":"***","holder":1}', '{"x":1}', None,
    ]  # fmt: skip


def test_a_hashed_property_is_the_hash_of_its_text(events):
    data = ['{"p":"1$1","q":2}', '{"p": 17}', '{"p":null}']
    found = pii.hide(events([{"properties": text} for text in data]), policy(fields={"properties.p": "hash"}), KEY)
    assert [json.loads(text)["p"] for text in found["properties"]] == [digest("1$1"), digest("17"), None]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"querry": "drop"}, r"fields\.querry: no such column, did you mean query\?"),
        ({"price": "hash"}, r"fields\.price: is Decimal.*only drop is possible"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        policy(fields=fields).check(FRAME_SCHEMA, {})


@pytest.mark.parametrize("action", ["mask", "hash", "drop"])
@pytest.mark.parametrize("count", [2, 20, 300])
def test_nothing_of_what_is_hidden_goes_into_files_with_the_buffers_of_a_frame(action, count):
    """Columns of one decoded batch share memory, and Polars writes buffers whole when little of them is unused."""
    fields = ("url", "query", "referrer", "user_agent", "category")
    address = "clear.person@example.org"
    rows = [
        {
            "event_id": f"e{number}", "event_type": "page_view", "event_time": "2026-03-01T10:00:00Z", "user_id": "u",
            **{name: f"https://shop.example/{name}/{number}?to={address}" for name in fields},
            "properties": {"secret": "a-clear-property"},
        }
        for number in range(count)
    ]  # fmt: skip
    raw = pl.DataFrame(
        {
            "raw": [json.dumps(row).encode() for row in rows],
            "source": "s",
            "source_partition": 0,
            "source_offset": range(count),
        },
        schema=RAW_SCHEMA,
    )
    decoded = decode(raw, 1_800_000_000_000, None).events
    assert decoded.height == count
    safe = pii.hide(decoded, policy(emails=action, fields={"properties.secret": action}), KEY)
    for write in (safe.write_ipc, safe.write_ipc_stream):
        written = io.BytesIO()
        write(written)
        assert address.encode() not in written.getvalue()
        assert b"a-clear-property" not in written.getvalue()
    assert safe.schema == decoded.schema


@pytest.mark.parametrize("count", [1, 40])
def test_a_null_whose_place_held_an_address_holds_it_no_more(count):
    """A literal that stands in some rows only is in all of them beneath their nulls, and Polars writes it."""
    address = "clear.person@example.org"
    kept = pl.when(pl.int_range(pl.len()) == count).then(pl.lit(f"https://shop.example/?to={address}"))
    frame = pl.DataFrame(schema=FRAME_SCHEMA).clear(count + 1).with_columns(url=kept)
    for action in ("mask", "hash", "drop"):
        written = io.BytesIO()
        pii.hide(frame, policy(emails=action), KEY).write_ipc(written)
        assert address.encode() not in written.getvalue()


def decode_one(count: int) -> pl.DataFrame:
    """So many events with nothing but their type."""
    return pl.DataFrame({"event_type": ["page_view"] * count}).select(
        pl.col(name) if name == "event_type" else pl.lit(None, dtype).alias(name)
        for name, dtype in FRAME_SCHEMA.items()
    )


@pytest.mark.parametrize(
    ("fields", "emails", "treated"),
    [
        ({"payment_id": "hash"}, None, ("pay-1", "a@b.example")),
        ({"order_id": "hash", "event_id": "hash"}, None, ()),
        ({"user_id": "hash"}, "mask", ("a@b.example",)),
        ({}, None, ()),
    ],
)
def test_ids_of_labels_are_treated_as_those_of_payments(fields, emails, treated):
    asked = pii.policy_of_labels(policy(fields=fields, emails=emails), "payment_id")
    labels = pl.DataFrame({"transaction_id": ["pay-1", "a@b.example", None], "label": [1, 0, 1]})
    found = pii.apply_to_labels(labels, asked, KEY)
    expected = [digest(text) if text in treated else text for text in labels["transaction_id"]]
    assert found["transaction_id"].to_list() == expected
    assert found["label"].to_list() == [1, 0, 1]
