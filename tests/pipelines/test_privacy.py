"""The privacy policy through a whole job, update streams included."""

import hashlib
import hmac
import json

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable

from support.process import Shop, write_lines

pytestmark = pytest.mark.slow

KEY = "a key of sixteen or more"
USER, NAME, EMAIL = "customer-4711", "Margarete Mustermann", "margarete@example.com"
CLEAR = (USER, NAME, EMAIL)
DAY = "2026-03-01T10:0"


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("flags", [(), ("--join_wait=1m",)], ids=["at once", "waiting"])
def test_columns_of_update_streams_are_under_the_policy_and_still_meet_their_events(tmp_path, monkeypatch, flags):
    monkeypatch.setenv("PII_KEY", KEY)
    columns = {"name": "text", "email": "text", "tier": "text"}
    policy = {"key": "env:PII_KEY", "emails": "hash", "fields": {"user_id": "hash", "user_name": "hash"}}
    steps = {"user": {"columns": columns}, "pii": policy}
    (tmp_path / "enrich.yaml").write_text(yaml.safe_dump({"steps": steps}))
    change = {"user_id": USER, "updated_at": f"{DAY}0:00Z", "name": NAME, "email": EMAIL, "tier": "gold"}
    write_lines(tmp_path / "updates.jsonl", [json.dumps(change)])
    event = {"event_type": "page_view", "event_time": f"{DAY}5:00Z", "user_id": USER}
    write_lines(tmp_path / "in" / "1.jsonl", [json.dumps({**event, "event_id": str(number)}) for number in range(3)])
    more = (f"--enrich={tmp_path / 'enrich.yaml'}", f"--user_updates={tmp_path / 'updates.jsonl'}", "--progress=none")
    shop = Shop(tmp_path / "shop", tmp_path / "in", (*more, "--drain", *flags), backup=True)
    status, said = shop.run_here()
    assert status == 0, said
    found = pl.from_arrow(DeltaTable(str(shop.root / "lake" / "enriched_events")).to_pyarrow_table())
    shown = {tuple(row) for row in found.select("user_id", "user_name", "user_email", "user_tier").iter_rows()}
    assert shown == {(digest(USER), digest(NAME), digest(EMAIL), "gold")}
    text = found.write_json()
    assert not [value for value in CLEAR if value in text]
    files = [path for path in shop.root.rglob("*") if path.is_file()]
    assert not [(path, value) for path in files for value in CLEAR if value.encode() in path.read_bytes()]
