"""Buckets and databases that are wrong: one clear line at the start, exit 2, nothing made, no secret printed."""

import json

import pytest
import sqlalchemy as sa

from pipelines import checkpoint, event_enrichment, lake, show
from services import s3
from services.postgres import Databases
from support.place import snapshot

pytestmark = pytest.mark.slow

EVENT = {"event_id": "e1", "event_type": "page_view", "event_time": "2026-03-01T00:00:00Z", "user_id": "u1"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("check", [["--check"], []], ids=["check", "run"])
@pytest.mark.parametrize("flag", ["checkpoint", "checkpoint_backup", "lake"])
def test_a_bucket_that_is_not_there(here, wrong, moto, flag, check):
    before = snapshot(here)
    endpoint = f"--s3_endpoint={moto.facts['url']}"
    line = wrong(event_enrichment.main, "--source=events.jsonl", endpoint, f"--{flag}=s3://nowhere/x", *check)
    assert line == f"event_enrichment: --{flag}: s3://nowhere/x: there is no such bucket"
    assert snapshot(here) == before


@pytest.mark.parametrize("check", [["--check"], []], ids=["check", "run"])
def test_a_wrong_password_of_the_warehouse(here, wrong, postgres, check):
    url = sa.make_url(Databases(postgres).new()).set(password="geheim").render_as_string(hide_password=False)  # noqa: S106
    before = snapshot(here)
    line = wrong(event_enrichment.main, "--source=events.jsonl", f"--warehouse={url}", *check)
    assert "--warehouse: warehouse:postgresql+psycopg://app:***@" in line
    assert "password authentication failed" in line
    assert "geheim" not in line
    assert snapshot(here) == before


def test_a_url_from_the_environment_or_a_file(here, wrong, postgres, monkeypatch):
    url = sa.make_url(Databases(postgres).new()).set(username="nobody").render_as_string(hide_password=False)
    monkeypatch.setenv("WAREHOUSE", url)
    (here / "secret").write_text(url + "\n")
    for place in ("env:WAREHOUSE", f"file:{here / 'secret'}"):
        line = wrong(event_enrichment.main, "--source=events.jsonl", f"--warehouse={place}")
        assert 'failed for user "nobody"' in line
        assert postgres.facts["password"] not in line
    line = wrong(event_enrichment.main, "--source=events.jsonl", "--warehouse=env:GONE")
    assert line == "event_enrichment: --warehouse: environment variable GONE is not set"


def test_tools_name_a_bucket_that_is_not_there(wrong, here, moto):
    endpoint = f"--s3_endpoint={moto.facts['url']}"
    for tool, *arguments in (
        (checkpoint, "inspect", "s3://nowhere/x"),
        (checkpoint, "restore", "s3://nowhere/x", f"--to={here / 'new'}"),
        (show, "--lake=s3://nowhere/x"),
        (show, "metrics", "--lake=s3://nowhere/x"),
        (lake, "compact", "--lake=s3://nowhere/x"),
    ):
        line = wrong(tool.main, *arguments, endpoint)
        assert "s3://nowhere/x" in line
        assert line.endswith("there is no such bucket")
