"""All files that the four jobs leave, searched for the values that the privacy policy hides."""

import importlib
import json
import os
import re
import uuid
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
import yaml
from prometheus_client import generate_latest

from ecompulse.io.encryption import encrypted
from ecompulse.io.exporter import endpoint
from ecompulse.io.stores import LocalStore
from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from support.clear import POLICY, clear_values, hidden_values, modes, searched, with_personal_data
from support.process import command, write_lines
from support.topics import Topics

pytestmark = pytest.mark.slow

JOBS = ("event_enrichment", "session_analytics", "realtime_metrics", "anomaly_detection")
PAYMENT = re.compile(r'"event_time": ?"2025-09-01T[01].*"payment_id": ?"(\w+)"')
MODE = 0o640
"""Of files that others may read, under the umask of this test."""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A shop with personal data in it, changes of users, labels of payments, and all that is to be hidden of them."""
    root: Path = tmp_path_factory.mktemp("people")
    write(simulate(Settings(seed=3, events=450, broken=0.03, duplicates=0.03, late=0.01, unknown_fields=0.02)), root)
    lines = [line for path in sorted((root / "events").iterdir()) for line in _lines(path)]
    marked = [with_personal_data(line, number) for number, line in enumerate(lines)]
    for at in range(0, len(marked), 200):
        write_lines(root / "in" / f"{at:05d}.jsonl", marked[at : at + 200])
    users = pl.read_ndjson(root / "users.jsonl")["user_id"]
    changes = [
        {
            "user_id": user,
            "updated_at": "2025-08-30T00:00:00Z",
            "name": f"Margarete {user}",
            "email": f"m.{user}@x.example",
        }
        for user in users
    ]
    payments = sorted({found for line in marked for found in PAYMENT.findall(line)})
    labels = [
        {"transaction_id": payment, "label": at % 2, "label_time": "2025-09-01T20:00:00Z", "source": "review"}
        for at, payment in enumerate(payments)
    ]
    labels[::9] = [{**label, "label": "perhaps"} for label in labels[::9]]
    for name, rows in (("users", changes), ("labels", labels)):
        pl.DataFrame(rows, strict=False).write_ndjson(root / f"{name}.in.jsonl")
    return root, hidden_values([*marked, *(root / "users.in.jsonl").read_text().splitlines()])


def _lines(path):
    return path.read_bytes().decode(errors="replace").splitlines()


@pytest.fixture
def mask():
    before = os.umask(0o777 - MODE - 0o110)
    yield
    os.umask(before)


def run(job, root, people, policy, monkeypatch, *flags: str):
    """One job with all that it can be given; returns what it printed and what it measured."""
    root.mkdir(parents=True, exist_ok=True)
    steps = {"user": {"columns": {"name": "text", "email": "text"}}, **({"pii": policy} if policy else {})}
    (root.parent / "enrich.yaml").write_text(yaml.safe_dump({"steps": steps}))
    registries = []
    real = endpoint.start_http_server

    def serve(port, host, registry):
        registries.append(registry)
        return real(port, host, registry)

    monkeypatch.setattr(endpoint, "start_http_server", serve)
    module = importlib.import_module(f"pipelines.{job}")
    more = {
        "event_enrichment": (f"--user_updates={people / 'users.in.jsonl'}", "--join_wait=1m", "--dedup"),
        "anomaly_detection": (f"--labels={people / 'labels.in.jsonl'}", "--label_wait=1h", "--learn_every=1h"),
    }
    status, out, err = command(
        module.__name__,
        f"--source={people / 'in'}",
        f"--enrich={root.parent / 'enrich.yaml'}",
        f"--checkpoint={root / 'checkpoint'}",
        f"--checkpoint_backup={root / 'backup'}",
        f"--lake={root / 'lake'}",
        f"--warehouse=sqlite:///{root / 'warehouse.db'}",
        f"--sink=jsonl:{root / 'lines'}",
        "--max_records_per_epoch=1000",
        "--num_shards=2",
        "--progress=json",
        "--metrics_port=127.0.0.1:0",
        *more.get(job, ()),
        *flags,
    )
    assert status == 0, err
    [registry] = registries
    return (out + err).encode() + generate_latest(registry)


@pytest.mark.parametrize("job", JOBS)
def test_under_a_policy_no_hidden_value_stands_anywhere(people, tmp_path, monkeypatch, mask, job):
    monkeypatch.setenv("PII_KEY", "a key of sixteen or more")
    shop, values = people
    root = tmp_path / job
    said = run(job, root, shop, POLICY, monkeypatch)
    assert searched(root, values) == {}
    assert clear_values(said, values) == set()
    for place in ("checkpoint", "backup"):
        assert modes(root / place) == {"files": {0o600}, "folders": {0o700}}
    if job == "anomaly_detection":
        told = pl.read_delta(str(root / "lake" / "data_quality"))
        unmatched = told.filter(check_name="label", subject="unmatched")["count"].sum()
        assert unmatched == 0, "labels meet their payments, whose ids are hashed"
    for place in ("lake", "lines"):
        assert modes(root / place)["files"] == {MODE}
    assert clear_values(_tools(root, job), values) == set()


def _tools(root, job):
    table = {"event_enrichment": "enriched_events", "session_analytics": "sessions", "realtime_metrics": "metrics"}
    shown = (f"--lake={root / 'lake'}", "--limit=1000")
    asked = [
        ("show", table.get(job, "risk_scores"), *shown, "--format=csv"),
        ("deadletters", "show", *shown),
        ("deadletters", "show", *shown, "--format=json"),
        ("audit", str(root / "checkpoint"), f"--warehouse=sqlite:///{root / 'warehouse.db'}"),
        ("checkpoint", "inspect", str(root / "checkpoint")),
    ]
    said = b""
    for tool, *arguments in asked:
        status, out, err = command(f"pipelines.{tool}", *arguments)
        assert status == 0, (tool, out, err)
        said += (out + err).encode()
    return said


@pytest.mark.parametrize("job", [JOBS[0], *(pytest.param(job, marks=pytest.mark.night) for job in JOBS[1:])])
def test_without_a_policy_they_stand_in_sinks_and_with_a_key_not_in_checkpoint_and_backup(
    people, tmp_path, monkeypatch, job
):
    monkeypatch.setenv("KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    shop, values = people
    root = tmp_path / job
    run(job, root, shop, None, monkeypatch, "--checkpoint_key=env:KEY")
    places = {path.relative_to(root).parts[0].removesuffix("-wal") for path in searched(root, values)}
    assert {"lake"} <= places <= {"lake", "lines", "warehouse.db"}
    for place in ("checkpoint", "backup"):  # the search finds what is there
        store = encrypted(LocalStore(str(root / place)), ["env:KEY"])
        assert any(clear_values(store.get(name), values) for name in store.list("state"))


@pytest.mark.night
@pytest.mark.parametrize("job", JOBS)
def test_under_a_policy_no_hidden_value_stands_in_topics(people, tmp_path, monkeypatch, kafka, job):
    monkeypatch.setenv("PII_KEY", "a key of sixteen or more")
    shop, values = people
    prefix = f"left-{uuid.uuid4().hex[:8]}."
    sink = (f"--sink=kafka://{kafka.facts['bootstrap']}", f"--topic_prefix={prefix}")
    said = run(job, tmp_path / job, shop, POLICY, monkeypatch, *sink)
    with closing(Topics(kafka.facts["bootstrap"])) as topics:
        names = [name for name in topics.admin.list_topics() if prefix in name]
        records = [record for name in names for record in topics.committed(name)]
    assert len(records) > 100
    assert clear_values(repr(records).encode() + said, values) == set()


@pytest.mark.parametrize("broken", [False, True])
def test_check_shows_nothing_that_the_policy_hides(people, tmp_path, monkeypatch, broken):
    monkeypatch.setenv("PII_KEY", "a key of sixteen or more")
    shop, values = people
    steps = {"user": {"columns": {"name": "text", "email": "text"}}, "pii": POLICY}
    (tmp_path / "enrich.yaml").write_text(yaml.safe_dump({"steps": steps}))
    source = shop / "in"
    if broken:
        lines = next(source.iterdir()).read_text(errors="replace").splitlines()
        good = [json.loads(line) for line in lines if line.endswith("}") and '"ip"' in line]
        source = write_lines(tmp_path / "in.jsonl", [json.dumps({**event, "price": event["ip"]}) for event in good])
    asked = (f"--source={source}", f"--enrich={tmp_path / 'enrich.yaml'}", "--check")
    streams = {
        "event_enrichment": f"--user_updates={shop / 'users.in.jsonl'}",
        "anomaly_detection": f"--labels={shop / 'labels.in.jsonl'}",
    }
    for job, stream in streams.items():
        status, out, err = command(f"pipelines.{job}", *asked, stream)
        assert status == (2 if broken else 0), err
        assert clear_values((out + err).encode(), values) == set()
    shown = command("pipelines.event_enrichment", f"--source={source}", "--check")
    assert clear_values("".join(map(str, shown)).encode(), values), "the search finds what is there"
