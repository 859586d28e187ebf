"""A look-up that never finds anything is named at the end of a run."""

import json

import pytest
import yaml

from ecompulse.cli.unfound import UnfoundKeys
from pipelines import session_analytics
from support.place import Place

BASE = 1_772_323_200_000


@pytest.fixture
def place(tmp_path):
    rows = [
        {"event_id": f"e{n}", "event_type": "search", "event_time": BASE + n, "user_id": f"u{n % 7}"} for n in range(50)
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Place(tmp_path, tmp_path / "events.jsonl")


def users(place, *keys: str):
    """A look-up of users in a file of these."""
    (place.root / "users.jsonl").write_text("".join(json.dumps({"id": key, "tier": "gold"}) + "\n" for key in keys))
    steps = {"user": {"lookup": f"jsonl:{place.root / 'users.jsonl'}?key=id"}}
    (place.root / "enrich.yaml").write_text(yaml.safe_dump({"steps": steps}))
    return f"--enrich={place.root / 'enrich.yaml'}"


@pytest.mark.parametrize(("keys", "said"), [(("user:u1", "user:u2"), True), (("u1",), False)])
def test_one_line_where_no_key_was_found(place, capsys, keys, said):
    assert place.run("--max_records_per_epoch=20", "--drain", users(place, *keys)) == 0
    line = "event_enrichment: --enrich: user: none of 7 keys was found; does steps.user name the right store, "
    assert capsys.readouterr().err.count(line) == said


def test_a_job_that_does_not_ask_says_nothing(place, capsys):
    enrich = users(place, "user:u1")
    assert Place(place.root, place.source, job=session_analytics).run(enrich) == 0
    assert "none of" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("epochs", "keys"),
    [
        ([{"misses": 3, "asked": 5, "negative_hits": 2}, {"misses": 2}], "none of 5 keys was"),
        ([{"misses": 1}], "the only key was not"),
        ([{"misses": 3}, {"misses": 2, "found": 1}], ""),
        ([{"misses": 3}, {"asked": 2, "hits": 1}], ""),
        ([{"misses": 3, "failed": 3}], ""),
        ([{"misses": 3, "stale": 3}], ""),
        ([{"misses": 1_600, "failed": 5}], "none of 1,595 keys was"),
        ([], ""),
    ],
)
def test_what_counts_as_none(epochs, keys):
    unfound = UnfoundKeys()
    report = unfound.watching(lambda _progress: None)
    for counts in epochs:
        report({"lookups": {"user": {"breaker": "closed", **counts}}})
    report({})
    assert [line.split(" found;")[0] for line in unfound.lines()] == ([f"--enrich: user: {keys}"] if keys else [])
