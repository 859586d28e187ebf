"""What is wrong with a look-up is one line when the job starts, no secret, and nothing is made.

The exit status is 2 for what the user must change, 1 for a server that does not answer.
"""

import pytest

from services import s3
from services.redis import PASSWORDS
from support.process import Shop, events, write_lines


@pytest.fixture
def shop(tmp_path, fresh, monkeypatch, rows, moto):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WRONG", "hunter2-and-more")
    monkeypatch.setenv("STRANGER", PASSWORDS["stranger"])
    made = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--progress=none"))
    write_lines(made.source / "1.jsonl", events(10))
    return made


SECURE = "{secure}?pattern={pattern}&ca={authority}"


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ("redis://127.0.0.1:1/0?pattern={pattern}", "Connection refused"),
        ("redis://no-such-host.invalid/0?pattern={pattern}", "no-such-host.invalid"),
        (SECURE + "&user=shop&password=env:WRONG", "invalid username-password pair"),
        (SECURE + "&user=stranger&password=env:STRANGER", "o permissions"),
        (SECURE + "&user=shop&password=env:NOT_SET", "environment variable NOT_SET is not set"),
        (SECURE + "&user=shop&password=hunter2-and-more", "must hold no credentials"),
        ("{secure}?pattern={pattern}", "certificate verify failed"),
        ("redis://127.0.0.1:{port}/99?pattern={pattern}", "DB index is out of range"),
        ("dynamodb://no-such-table?key=user_id&endpoint={moto}", "ResourceNotFoundException"),
        ("dynamodb://users?key=user_id&endpoint=http://127.0.0.1:1", "Could not connect to the endpoint"),
    ],
)
def test_one_line(shop, rows, moto, lookup, message):
    facts = {**rows.server.facts, "pattern": rows.pattern, "port": rows.server.port, "moto": moto.facts["url"]}
    enrich = shop.root.parent / "enrich.yaml"
    enrich.write_text(
        f"steps: {{user: {{lookup: '{lookup.format(**facts)}', columns: {{tier: text}}, deadline: 1m, retries: 0}}}}"
    )
    passing = "Connection refused" in message or "endpoint" in message or ".invalid" in message
    status, said = shop.run_here(f"--enrich={enrich}", "--publish_attempts=1")
    assert status == (1 if passing else 2)
    assert said.startswith("event_enrichment: --enrich: steps.user.lookup: ")
    assert message in said
    assert said.count("\n") == 1
    assert not any(secret in said for secret in ("hunter2", *PASSWORDS.values()))
    assert not (shop.root / "checkpoint").exists()


@pytest.mark.parametrize("name", ["key", "status"])
def test_a_column_of_a_reserved_name_is_refused(shop, rows, name):
    enrich = shop.root.parent / "enrich.yaml"
    enrich.write_text(f"steps: {{user: {{lookup: '{rows.url()}', columns: {{{name}: text}}}}}}")
    status, said = shop.run_here(f"--enrich={enrich}")
    assert status == 2
    assert f"its column {name} has a name that the look-up itself needs" in said
