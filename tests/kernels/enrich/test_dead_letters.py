"""Dead letters under a policy: form kept where it can be, bytes replaced where not."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.enrich.dead_letters import protect_dead_letters, redacted
from ecompulse.kernels.enrich.pii import PiiStep
from ecompulse.kernels.event import DEAD_LETTER_SCHEMA

KEY = "a key of sixteen or more"
POLICY = PiiStep(ip="drop", emails="mask", fields={"card_id": "hash", "properties.phone": "mask"}, key="env:K")


def letters(raws, message="quantity: 'a@b.com' from 10.0.0.7 is no number"):
    rows = [(raw, "file", 0, n, "wrong_type", message, None) for n, raw in enumerate(raws)]
    return pl.DataFrame(rows, schema=DEAD_LETTER_SCHEMA, orient="row")


def protected(given, policy=POLICY, key=KEY, aliases=None):
    return protect_dead_letters(given, pl.repeat("bare", given.height, eager=True), policy, key, aliases)


def test_a_decodable_letter_keeps_its_form():
    event = {
        "ip": "1.2.3.4",
        "card_id": "c1",
        "quantity": "many",
        "phone": 123,
        "deep": [{"phone": "1", "note": "a@b.com"}],
    }
    found = protected(letters([json.dumps(event).encode()]))
    safe = json.loads(found["raw"][0])
    assert safe["card_id"] != "c1"
    assert len(safe["card_id"]) == 64
    del safe["card_id"]
    assert safe == {"ip": None, "quantity": "many", "phone": "***", "deep": [{"phone": "***", "note": "***"}]}
    assert found.drop("raw", "message").equals(letters([b""]).drop("raw", "message"))
    assert found["message"][0] == "bare"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"ip": "1.2.3.4"', b'{"email":"a@b.com","email":"c@d.com"}', b'["a@b.com"]', b'"a@b.com"', b"\xff{}",
        b'{"q": 1e999, "m": "a@b.com"}', '{"m":"a@b.com"}'.encode("utf-16"), b"[" * 100_000, b"",
        rb'{"ip":"\ud800"}', rb'{"phone":"\udc00"}', rb'{"m":"a@b.co\ud800"}', rb'{"\ud800@b.co":1}',
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_keeps_length_and_hash(raw):
    found = protected(letters([raw]))["raw"][0]
    assert found == redacted(raw, KEY)
    assert json.loads(found)["bytes"] == len(raw)
    assert json.loads(redacted(raw, None))["hash"] != json.loads(found)["hash"]


def test_untouched_bytes_stay_as_they_are():
    raw = b'{ "event_type" : "view", "price": 1.10, "odd": NaN }'
    assert protected(letters([raw, None]))["raw"].to_list() == [raw, None]
    assert protected(letters([b"a@b.com"]), PiiStep(), None)["raw"][0] == b"a@b.com"


def test_names_of_a_mapping_are_followed():
    raw = json.dumps({"client_address": "1.2.3.4", "x": 1}).encode()
    found = protected(letters([raw]), aliases={"client_address": "ip"})
    assert json.loads(found["raw"][0]) == {"client_address": None, "x": 1}


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_any_bytes_are_taken(raws):
    found = protected(letters(raws))
    assert found.height == len(raws)
    assert found.schema == DEAD_LETTER_SCHEMA
