"""Seals and commits that are damaged are named, by a driver and by the tools alike."""

import json
from itertools import product

import pytest

from ecompulse.cli import checkpoint
from ecompulse.epochs.checkpoint import read_meta
from ecompulse.epochs.checkpoint_admin import verify
from ecompulse.epochs.errors import StateDamaged
from ecompulse.epochs.records import check, sign
from ecompulse.io.stores import LocalStore
from support.script import Script
from support.toy import ToyJob, rows

HARMS = {
    "empty": lambda _data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "a digit": lambda data: data.replace(b'"fencing_token": 1', b'"fencing_token": 2').replace(
        b"numInput", b"numOutput"
    ),
    "zeros": lambda data: bytes(len(data)),
    "no text": lambda _data: b"\xff\xfe",
    "a list": lambda _data: b"[]",
    "nothing in it": lambda _data: b"{}",  # of a commit this is no harm
}


def test_what_is_signed_is_read_again_and_needs_no_signature():
    content = {"b": [1, 2.5, None, 'ä"}'], "a": {"7": float("inf")}}
    assert check(sign(content)) == content
    assert check(json.dumps(content).encode()) == content


@pytest.fixture
def script(tmp_path):
    store = LocalStore(str(tmp_path / "checkpoint"))
    return Script(ToyJob(), tmp_path, store=store).add_data(rows(20)).run()


@pytest.mark.parametrize(("folder", "harm"), list(product(("seals", "commits"), HARMS))[:-1])
def test_what_is_damaged_is_named(script, capsys, folder, harm):
    name = script.store.list(folder)[-1]
    path = f"{script.store.root}/{name}"
    script.store.put(name, HARMS[harm](script.store.get(name)))
    assert [line.startswith(f"{path} is damaged: ") for line in verify(script.store)] == [True]
    for verb in ("inspect", "verify"):
        assert checkpoint.main([verb, script.store.root]) == 1
        assert f"{path} is damaged: " in capsys.readouterr().out
    with pytest.raises(StateDamaged, match=f"{name} is damaged"):
        script.run()


@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_what_does_not_belong_there_or_is_missing_is_named(script, capsys, verb):
    last = script.store.list("seals")[-1]
    script.store.delete([last])
    assert checkpoint.main([verb, script.store.root]) == 1
    assert f"{last} is missing" in capsys.readouterr().out
    script.store.put("commits/notes.txt", b"")
    assert checkpoint.main([verb, script.store.root]) == 1
    assert "commits/notes.txt does not belong into a checkpoint" in capsys.readouterr().err
    assert read_meta(script.store)
