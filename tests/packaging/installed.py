"""Tries an installed ecompulse from the folder it is started in: imports, commands, one small job.

Run by `scripts/wheel` with the Python of an environment that holds nothing else.
"""

import importlib
import json
import logging
import os
import pkgutil
import subprocess
import sys
from importlib.metadata import files, requires
from pathlib import Path

EXTRA_MODULES = {
    "apprise",
    "kafka",
    "confluent_kafka",
    "crc32c",
    "boto3",
    "botocore",
    "psycopg",
    "redis",
    "pyspark",
    "starlette",
}
"""What modules behind an extra may import; the environment holds no extra."""

DEMO = "ECOMPULSE_WHEEL_DEMO"
"""Environment variable: the demo is tried too, which takes half a minute."""

EVENTS = [
    {"event_id": "1", "event_type": "product_view", "event_time": "2024-05-01T10:00:00Z", "user_id": "u1"},
    {"event_id": "2", "event_type": "purchase", "event_time": "2024-05-01T10:05:00Z"},
]


def main() -> None:
    """Raise what does not work."""
    logging.getLogger().setLevel(logging.CRITICAL)  # Beam warns of what it finds absent when it is imported
    here = Path.cwd()
    assert not any(here.iterdir()), f"{here} is not empty"
    modules = import_all()
    commands = sorted(importlib.import_module("ecompulse.cli.__main__").COMMANDS)
    assert run("ecompulse", "--help") == run(sys.executable, "-m", "pipelines", "--help")
    for command in commands:
        for program in (["ecompulse", command], [sys.executable, "-m", f"pipelines.{command}"]):
            assert run(*program, "--help").startswith("usage: "), program
    small_job()
    if os.environ.get(DEMO):
        demo()
    beside_a_foreign_folder()
    told = f"{modules} modules imported, {len(commands)} commands answer --help, a small job ran"
    sys.stdout.write(f"wheel: {told}\n")


def import_all() -> int:
    """Import every module of the distribution; returns how many."""
    found = 0
    for name in ("pipelines", *rooms()):
        package = importlib.import_module(name)
        assert Path(str(package.__file__)).is_relative_to(sys.prefix), f"{name} comes from {package.__file__}"
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            found += 1
            if module.name.endswith("__main__"):
                continue
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if str(error.name).split(".")[0] not in EXTRA_MODULES:
                    raise
    return found


def rooms() -> list[str]:
    """Packages `ecompulse.<room>` of the distribution."""
    parts = [path.parts for path in files("ecompulse") or []]
    return sorted({f"ecompulse.{path[1]}" for path in parts if path[0] == "ecompulse" and len(path) > 2})


def small_job() -> None:
    """Two events, one of them bad, through event_enrichment and out again."""
    Path("events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    said = run("ecompulse", "event_enrichment", "--source=events.jsonl", "--drain", "--progress=none")
    assert said == "event_enrichment: 1 of 2 rows are dead letters; `deadletters list` says why\n", said
    shown = json.loads(run("ecompulse", "show", "enriched_events", "--columns=event_id,user_id", "--format=json"))
    assert shown == {"event_id": "1", "user_id": "u1"}, shown
    dead = json.loads(run("ecompulse", "show", "dead_letters", "--columns=rule", "--format=json"))
    assert dead == {"rule": "missing_required"}, dead


def demo() -> None:
    """The demo, its report, and each of the lines that it says to try next, as it is printed."""
    shown = run("ecompulse", "demo", "--events=4000")
    assert Path("demo/report.html").stat().st_size > 10_000
    lines = [line.strip() for line in shown.split("Try next:\n")[1].splitlines()]
    for line in lines:
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602  # that is it
        assert (done.returncode, done.stderr) == (0, ""), f"{line}: {done.stderr}"
    sys.stdout.write(f"wheel: {len(lines)} lines to try next ran\n")


def beside_a_foreign_folder() -> None:
    """Tools work where somebody has a package `pipelines` of their own; jobs say what is in their way."""
    Path("pipelines").mkdir()
    Path("pipelines/__init__.py").touch()
    for program in (["ecompulse"], [sys.executable, "-m", "ecompulse"]):
        assert "enriched_events" in run(*program, "show"), program
    done = subprocess.run(
        [sys.executable, "-m", "ecompulse", "event_enrichment"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "stands before the jobs of ecompulse" in done.stderr, done.stderr


def run(*command: str) -> str:
    """What a command prints, on either stream; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr}"
    return done.stdout + done.stderr


if __name__ == "__main__":
    assert requires("ecompulse")
    main()
