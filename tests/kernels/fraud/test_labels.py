"""JoinLabels against a walk in plain Python: which label stands when, and what entities are told of it."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.decode import Rule, decode
from ecompulse.kernels.event import ORDER, RAW_SCHEMA
from ecompulse.kernels.fraud.labels import LABEL_MAPPING, JoinLabels, as_labelled, to_labels
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.examples import examples
from support.harness import run_kernel
from support.stepping import OneShard, rearranged
from support.streams import BASE, cuts

HOUR = 3_600_000
KERNEL = JoinLabels(horizon=10 * HOUR, wait=HOUR)
HORIZON, WAIT = KERNEL.horizon, KERNEL.wait
TRANSACTION = st.fixed_dictionaries({"id": st.sampled_from("abcd"), "at": st.integers(0, 20 * HOUR)})
LABEL = st.fixed_dictionaries(
    {
        "id": st.sampled_from("abcde"),
        "at": st.integers(0, 60 * HOUR) | st.integers(0, 10).map(lambda n: n * HOUR),
        "label": st.integers(0, 1),
        "rank": st.integers(0, 1),
    }
)


def frame(transactions: list[dict], labels: list[dict]) -> pl.DataFrame:
    """In the order of time, then one row much later, so that the watermark gets there."""
    rows = [{"transaction_id": row["id"], "card_id": f"card {row['id']}", **row} for row in transactions]
    rows += [{"transaction_id": row["id"], **row} for row in labels]
    rows.append({"transaction_id": "end", "at": 500 * HOUR})
    rows = [{**row, "source": "s", "source_partition": 0, "source_offset": n} for n, row in enumerate(rows)]
    found = as_labelled(
        pl.DataFrame(
            rows, schema_overrides={"label": pl.Int64, "rank": pl.Int64, "source_partition": pl.Int32}
        ).with_columns(event_time=(pl.col("at") + BASE).cast(pl.Datetime("ms", "UTC")))
        if labels
        else pl.DataFrame(rows).with_columns(
            pl.col("source_partition").cast(pl.Int32), event_time=(pl.col("at") + BASE).cast(pl.Datetime("ms", "UTC"))
        )
    )
    return found.sort(ORDER)


def expected(transactions: list[dict], labels: list[dict]) -> list[tuple]:
    first: dict[str, int] = {}
    for row in transactions:
        first[row["id"]] = min(first.get(row["id"], row["at"]), row["at"])
    marks = []
    for name, at in first.items():
        line = [(row["at"] + WAIT, row["rank"], row["label"]) for row in labels if row["id"] == name]
        line = [told for told in line if at <= told[0] < at + 2 * HORIZON + WAIT]
        strongest = {told[0]: told for told in sorted([*line, (at + HORIZON, -1, 0)])}  # one of each time
        best, now = -2, None
        for counts, rank, label in strongest.values():
            if rank < best:
                continue
            known, frauds = int(now is None), label - (now or 0)
            best, now = rank, label
            if known or frauds:
                marks.append((counts + BASE, name, known, frauds, label))
    return sorted(marks)


@examples(60)
@given(st.data())
def test_marks_are_what_a_walk_says_for_any_cut_and_any_shards(data):
    transactions = data.draw(st.lists(TRANSACTION, max_size=6, unique_by=lambda row: row["at"]))
    labels = data.draw(st.lists(LABEL, max_size=8))
    batch = frame(transactions, labels)
    cut, shards = data.draw(cuts(batch.height)), data.draw(st.integers(1, 3))
    batch = rearranged(batch, data.draw(st.integers(0, 9)), HOUR)
    # Rows more, so that what came before them is passed.
    more = [batch[-1:].with_columns(pl.lit(name).alias("transaction_id")) for name in ("end", "more")]
    batch = pl.concat([batch, *more])
    found = run_kernel(KERNEL, batch, cuts=[*cut, batch.height - 1], num_shards=shards, delay=HOUR)
    marks = found["marks"].select(pl.col("event_time").dt.epoch("ms"), "transaction_id", "known", "frauds", "label")
    assert sorted(marks.rows()) == expected(transactions, labels)
    passed = found["transactions"].filter(~pl.col("transaction_id").is_in(["end", "more"]))
    assert sorted(passed["transaction_id"]) == sorted({row["id"] for row in transactions})
    assert found["marks"]["card_id"].to_list() == [f"card {name}" for name in found["marks"]["transaction_id"]]


def test_transactions_come_out_in_the_order_of_time():
    shard = OneShard(KERNEL)
    rows = frame([{"id": name, "at": at} for name, at in (("a", 5), ("b", 3), ("c", 9))], [])
    assert shard.step(rows, BASE + 4)["transactions"]["transaction_id"].to_list() == ["b"]
    assert shard.step(rows.clear(), BASE + 9)["transactions"]["transaction_id"].to_list() == ["a"]
    assert shard.step(rows.clear(), BASE + 10)["transactions"]["transaction_id"].to_list() == ["c"]


def test_lines_of_an_order_are_added_up():
    kernel = JoinLabels(lines=True)
    minors = {"o": [10_000, 5_000], "partly": [7, None], "unknown": [None, None]}
    rows = frame([{"id": name, "at": 0, "minor": minor} for name, lines in minors.items() for minor in lines], [])
    found = run_kernel(kernel, rows)
    told = dict(found["transactions"].select("transaction_id", "minor").unique().iter_rows())
    assert {name: told[name] for name in minors} == {"o": 15_000, "partly": 7, "unknown": None}
    assert found["quality"].is_empty()


@pytest.mark.parametrize("labels", [[(0, 0), (1, 1)], [(1, 1), (0, 0)], [(0, 1), (1, 1), (1, 0)]])
def test_of_labels_with_one_time_the_strongest_is_the_only_one(labels):
    said = [{"id": "a", "at": HOUR, "label": label, "rank": rank} for label, rank in labels]
    marks = run_kernel(KERNEL, frame([{"id": "a", "at": 0}], said))["marks"]
    assert marks.select("transaction_id", "known", "frauds", "label").rows() == [("a", 1, 1, 1)]


def test_a_label_of_no_transaction_is_counted():
    batch = frame([{"id": "a", "at": 0}], [{"id": "x", "at": 0, "label": 1, "rank": 1}])
    found = run_kernel(KERNEL, batch, cuts=[1, 2, 3], delay=0)["quality"]
    assert found.select("check_name", "subject", "count").rows() == [("label", "unmatched", 1)]


def test_a_copy_that_only_the_drain_lets_out_is_counted_in_its_window():
    batch = frame([{"id": "a", "at": 0}, {"id": "a", "at": 2 * HOUR}], [])
    found = run_kernel(KERNEL, batch[:2])["quality"]
    assert found.select("check_name", "subject", "count").rows() == [("duplicate", "transaction_id", 1)]
    assert found["window_start"].dt.epoch("ms").to_list() == [(BASE + 2 * HOUR) // HOUR * HOUR]


def test_state_speaks_only_of_what_it_holds_or_held():
    shard = OneShard(KERNEL)
    rows = frame([{"id": name, "at": 0} for name in "ab"], [{"id": "a", "at": 2, "label": 1, "rank": 0}])
    done = KERNEL.step(shard.state, rows, Clock(1, BASE + 1, 0)).changes
    assert {name: sorted(change.keys) for name, change in done.items()} == {
        "transactions": ["a", "b"],
        "pending": ["end"],
        "waiting": ["a"],
    }
    shard.step(rows, BASE + 1)
    quiet = KERNEL.step(shard.state, rows.filter(pl.col("transaction_id") == "b"), Clock(2, BASE + 2, 0))
    assert not quiet.changes, "a copy changes nothing"
    assert quiet.outputs["quality"]["subject"].to_list() == ["transaction_id"]


def test_a_drain_lets_no_label_count_before_its_time():
    batch = frame([{"id": "a", "at": 0}], [{"id": "a", "at": 2 * HOUR, "label": 1, "rank": 1}])[:2]
    shard = OneShard(KERNEL)
    shard.step(batch, BASE + HOUR)
    drained = KERNEL.step(shard.state, batch.clear(), Clock(9, END_OF_TIME, 0, latest=BASE + 2 * HOUR))
    assert drained.outputs["marks"].is_empty()
    assert "waiting" not in drained.changes or drained.changes["waiting"].rows.height == 1
    whole = KERNEL.step(shard.state, batch.clear(), Clock(9, END_OF_TIME, 0, latest=BASE + 3 * HOUR))
    assert whole.outputs["marks"].height == 1


def decoded(fields):
    row = {"transaction_id": "t", "label": 1, "label_time": "2025-03-01T06:00:00Z", "source": "review"} | fields
    raw = json.dumps(row).encode()
    return decode(pl.DataFrame([(raw, "s", 0, 0)], schema=RAW_SCHEMA, orient="row"), 1_800_000_000_000, LABEL_MAPPING)


@pytest.mark.parametrize(
    ("fields", "label", "rank"),
    [
        ({}, 1, 0),
        ({"label": 0, "source": "chargeback"}, 0, 1),
        ({"label": "1"}, 1, 0),
        ({"label": 0.0}, 0, 0),
        ({"label": True, "source": None}, 1, 0),
        ({"label": "false", "payment_id": "p", "amount": 3}, 0, 0),
    ],
)
def test_a_label_is_read(fields, label, rank):
    found = to_labels(decoded(fields).events)
    assert found.select("transaction_id", "label", "rank").rows() == [("t", label, rank)]


@pytest.mark.parametrize(
    ("fields", "rule", "said"),
    [
        ({"label": 2}, Rule.WRONG_TYPE, "label: 2 is none of 0, 1, "),
        ({"label": "fraud"}, Rule.WRONG_TYPE, 'label: "fraud" is none of 0, 1, '),
        ({"label": 1.5}, Rule.WRONG_TYPE, "label: 1.5 is none of 0, 1, "),
        ({"label": None}, Rule.MISSING_REQUIRED, "label is missing"),
        ({"label": None, "user_id": "u"}, Rule.MISSING_REQUIRED, "label is missing"),
        ({"transaction_id": None}, Rule.MISSING_REQUIRED, "transaction_id is missing"),
        ({"label_time": None}, Rule.MISSING_REQUIRED, "label_time is missing"),
        ({"source": "chargebak"}, Rule.WRONG_TYPE, 'source: "chargebak" is none of review, chargeback'),
    ],
)
def test_what_is_no_label_is_a_dead_letter_that_says_why(fields, rule, said):
    found = decoded(fields)
    assert found.events.is_empty()
    assert found.dead["rule"].item() == rule.value
    assert found.dead["message"].item().startswith(said)
