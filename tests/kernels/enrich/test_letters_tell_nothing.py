"""Under a policy no dead letter's message tells anything of its row: no value, no key that only the row knows."""

import csv
import io
import json
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Rule
from ecompulse.kernels.enrich.enrichment import EnrichConfig
from ecompulse.kernels.enrich.pii import PiiStep
from ecompulse.kernels.event import RAW_SCHEMA
from ecompulse.kernels.mapping import parse_mapping
from ecompulse.kernels.step import Clock
from ecompulse.transforms.decode import DEAD_LETTERS, DecodeRows
from support.examples import examples

NOW = 1_700_000_000_000
COLUMNS = ("event_id", "event_type", "event_time", "user_id", "price", "quantity", "properties", "brand", "note")
EVENT = {"event_id": "QQQ", "event_type": "QQQ", "event_time": NOW, "user_id": "QQQ"}
TOLD = re.compile("[Qé]|7777")
"""What values and strange keys are made of, and no message of ours is."""

TEXTS = st.text("Qé'\"\\\\,{}@7. \x01\n", min_size=3, max_size=90)
NUMBERS = st.sampled_from([77777, -77777, 7.77777, 10**14 * 7 + 77777, 7777**30, 7.7777e300, True])
CELLS = st.one_of(
    TEXTS, NUMBERS, st.lists(TEXTS, max_size=2), st.dictionaries(TEXTS, NUMBERS, max_size=2),
    st.sampled_from(["2023-11-14T22:00:77", "2023-77-14T22:00:77Z", "7777-11-31T00:00:00Z", "777e7777", "a@QQQ.com"]),
)  # fmt: skip
ROWS = st.dictionaries(st.one_of(st.sampled_from(COLUMNS), TEXTS), CELLS, max_size=6)


def letters(rows: pl.DataFrame, pii: PiiStep, mapping: str | None = None) -> pl.DataFrame:
    config = EnrichConfig().having(pii)
    read = DecodeRows(parse_mapping(mapping) if mapping else None, config, lambda _: {"pii": {"key": "k" * 16}}, 1)
    return read(rows, Clock(1, -1, NOW))[DEAD_LETTERS]


def hidden(rows: pl.DataFrame, mapping: str | None = None) -> list[str]:
    return letters(rows, PiiStep(ip="drop"), mapping)["message"].to_list()


def frame(rows: list[bytes], **more: str) -> pl.DataFrame:
    positions = {"source": "f", "source_partition": 0, "source_offset": range(len(rows))}
    return pl.DataFrame({"raw": rows, **positions}, schema=RAW_SCHEMA).with_columns(
        pl.lit(v).alias(k) for k, v in more.items()
    )


def csv_line(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue().encode()


@given(ROWS, st.integers(0, 400), st.booleans())
@examples(60)
def test_a_row_of_json_whole_cut_or_with_bytes_that_are_no_text(row, at, few):
    raw = json.dumps({**EVENT, **row}, ensure_ascii=False).encode()
    raws = [raw, raw[:at], raw[:at] + b"\xff" + raw[at:], b"[" + raw + b"]", raw[:-1] + b"," + raw[1:], raw + raw]
    said = hidden(frame(raws * (1 if few else 9)))
    assert len(said) >= 4
    assert not [message for message in said if TOLD.search(message)]


@given(st.lists(TEXTS, min_size=1, max_size=12), st.integers(0, 300))
@examples(60)
def test_a_record_of_csv_cut_or_of_any_width(cells, at):
    raw = csv_line(cells)
    said = hidden(frame([raw, raw[:at], raw + b'"', b'"' + raw, csv_line(["QQQ", *cells])], header=",".join(COLUMNS)))
    assert said
    assert not [message for message in said if TOLD.search(message)]


@given(CELLS.filter(lambda cell: isinstance(cell, str)))
@examples(30)
def test_a_row_of_columns(cell):
    columns = {"event_id": "QQQ", "event_type": "QQQ", "event_time": cell, "user_id": "QQQ", "price": cell}
    rows = pl.DataFrame({**columns, "source": "f", "source_partition": 0, "source_offset": [0]})
    assert not [message for message in hidden(rows) if TOLD.search(message)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('"price":"12.5 (card 4111)"', "price: *** is text, not a number"),
        ('"price":4111111111111111', "price: *** does not fit decimal(18,4)"),
        ('"quantity":NaN', "quantity: *** is not a finite number"),
        ('"tel":1e999', "***: *** does not fit a double"),
        ('"brand":1,"brand":2', 'key "brand" is given twice'),
        ('"properties":{"a@b.com":1,"a@b.com":2}', 'properties: key "***" is given twice'),
        ('"properties":{"tel":1},"tel":2', "properties: unknown field *** is in properties too"),
    ],
)
def test_what_is_told_without_values(row, message):
    assert hidden(frame([f"{json.dumps(EVENT)[:-1]},{row}}}".encode()])) == [message]


def test_columns_that_a_mapping_names_are_told():
    row = json.dumps({**EVENT, "cost": float("nan")}).encode()
    assert hidden(frame([row]), "fields: {price: cost}") == ["cost: *** is not a finite number"]


def test_without_a_policy_values_are_told():
    row = json.dumps({**EVENT, "price": "many"}).encode()
    said = letters(frame([row]), PiiStep())
    assert said.select("rule", "message").rows() == [(Rule.WRONG_TYPE, 'price: "many" is text, not a number')]
