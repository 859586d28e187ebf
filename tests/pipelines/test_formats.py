"""Every tool that prints tables gives them to programs too; every flag of every tool says what it means."""

import argparse
import importlib
import json

import pytest

from ecompulse.cli import audit, checkpoint, deadletters
from ecompulse.cli.__main__ import JOBS, TOOLS
from ecompulse.cli.flags import default_of
from ecompulse.cli.settings import all_flags
from ecompulse.cli.tool import ToolParser
from support.place import printed


def test_an_audit_is_one_object(done, capsys):
    told = json.loads(printed(capsys, audit, str(done.checkpoint), "--format=json"))
    assert told["job"] == "event_enrichment"
    assert told["differences"] == []
    assert sum(told["accounts"].values()) == told["rows_read"] > 1000
    assert {row["table"] for row in told["tables"]} >= {"enriched_events", "dead_letters", "data_quality"}
    assert all(row["sealed"] == row["there"] for row in told["tables"])


def test_a_checkpoint_is_one_object(done, capsys):
    told = json.loads(printed(capsys, checkpoint, "inspect", str(done.checkpoint), "--format=json"))
    assert told["committed_epoch"] > 0
    assert {"operator", "rows", "bytes"} <= set(told["state"][0])


@pytest.mark.parametrize(("form", "starts"), [("json", "{"), ("csv", "job,"), ("record", "-- 1 of "), ("table", "+")])
def test_dead_letters_come_in_every_format(done, capsys, form, starts):
    assert printed(capsys, deadletters, "list", f"--lake={done.lake}", f"--format={form}").startswith(starts)


@pytest.mark.parametrize("job", JOBS)
def test_every_flag_of_a_job_says_what_it_means_and_its_default(job):
    for flag in all_flags(importlib.import_module(f"pipelines.{job}").SPEC.settings):
        assert len(flag.help) > 10, flag.name
        assert flag.group, flag.name
        assert default_of(flag), flag.name


class AskedError(Exception):
    """A tool has come to its parser."""


@pytest.mark.parametrize("tool", TOOLS)
def test_every_flag_of_a_tool_says_what_it_means(tool, monkeypatch):
    def look(parser, *_: object):
        raise AskedError(parser)

    monkeypatch.setattr(ToolParser, "parse_args", look)
    monkeypatch.setattr(ToolParser, "parse_known_args", look)
    monkeypatch.setattr(f"ecompulse.cli.{tool}.guarded", lambda _name, body: body())
    with pytest.raises(AskedError) as caught:
        importlib.import_module(f"ecompulse.cli.{tool}").main(["--anything"])
    for parser in parsers(caught.value.args[0]):
        for action in parser._actions:
            if action.option_strings:
                assert action.help, (tool, action.option_strings)
                assert action.help == argparse.SUPPRESS or len(action.help) > 4, (tool, action.option_strings)


def parsers(parser):
    """A parser, and those of its verbs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from parsers(sub)
