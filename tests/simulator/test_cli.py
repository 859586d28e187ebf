import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ecompulse.simulator.__main__ import main

pytestmark = pytest.mark.slow  # processes


def test_a_shop_from_the_command_line(tmp_path, capsys) -> None:
    out = tmp_path / "shop"
    flags = ["--events=2000", "--seed=9", "--duration=6h", "--episode=card_testing@1h", "--broken=0.01"]
    assert main([f"--out={out}", *flags]) == 0
    truth = json.loads(capsys.readouterr().out)
    assert truth == json.loads((out / "truth.json").read_text())
    assert len((out / "labels.jsonl").read_text().splitlines()) == 120
    assert truth["by_type"]["payment"] >= 120


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--late=2"], "--late is 2.0: a share is from 0 to 1"),
        (["--seed=x"], "--seed: invalid int value: 'x'"),
        (["--sed=1"], "unrecognized arguments: --sed=1"),
        (["--seed=-1"], "--seed is -1: it must not be negative"),
        (["--duration=0s"], "--duration is 0: it must be at least 1"),
        (["--out=."], "--out: events is not empty"),
        (["--out="], "--out: is empty"),
        (["--rate=5", "--events=10"], "--events does not go with --rate"),
        (["--rate=-1"], "--rate is -1.0"),
        (["--files=new"], "--files goes with --rate only"),
        (["--duration=soon"], "--duration: 'soon' is no duration"),
        (["--episode=card_testing@soon"], "--episode=card_testing@soon: 'soon' is no duration"),
        (["--episode=flood@1h"], "--episode=flood@1h: write NAME@AFTER"),
        (["--start=2025-01-01T00:00:00"], "--start: start '2025-01-01T00:00:00' has no zone"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, flags, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "old.jsonl").touch()
    assert main([f"--out={tmp_path / 'x'}", *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"simulator: {message}")
    assert said.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert main([f"--out={tmp_path / 'file'}", "--events=10"]) == 1
    assert "cannot write to" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_endless_shop_ends_cleanly_on_a_signal(tmp_path, number) -> None:
    command = [sys.executable, "-m", "ecompulse.simulator", f"--out={tmp_path}", "--rate=200", "--files=growing"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        events = tmp_path / "events.jsonl"
        deadline = time.monotonic() + 240
        while not (events.exists() and events.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)  # a real process, a real clock
        os.kill(process.pid, number)
        out, error = process.communicate(timeout=240)
    assert (process.returncode, error) == (0, b"")
    lines = events.read_bytes().splitlines(keepends=True)
    assert json.loads(out)["rows"] == len(lines) > 0
    assert lines[-1].endswith(b"\n")
    assert (tmp_path / "users.parquet").exists()
