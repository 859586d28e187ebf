"""The rules of the house: who may import whom, and that paper and packaging say what is there."""

import ast
import graphlib
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecompulse.cli.__main__ import COMMANDS, JOBS
from ecompulse.cli.flags import parse
from ecompulse.cli.job import JobSpec
from ecompulse.cli.settings import JobSettings, all_flags
from ecompulse.io.lookups.store import parse_spec
from ecompulse.kernels.enrich.enrichment import parse_enrich
from ecompulse.kernels.mapping import parse_mapping

ROOT = Path(__file__).parents[1]
ROOMS = ("kernels", "transforms", "epochs", "io", "runners", "simulator", "ui", "cli")

FORBIDDEN = {
    # Pure functions: no engine, no outside.
    "kernels": (
        "apache_beam",
        "pipelines",
        "ecompulse.io",
        "ecompulse.epochs",
        "ecompulse.transforms",
        "ecompulse.runners",
    ),
    # What is outside is injected; clients of it live in io.
    "transforms": ("pipelines", "ecompulse.io", "ecompulse.runners", "deltalake", "sqlalchemy", "kafka", "boto3"),
    # Stores and sinks by protocol.
    "epochs": ("pipelines", "ecompulse.io", "ecompulse.transforms", "ecompulse.runners", "deltalake", "sqlalchemy"),
    "io": ("pipelines", "apache_beam", "ecompulse.transforms", "ecompulse.runners"),
    "runners": ("pipelines", "ecompulse.io", "ecompulse.transforms"),
    "simulator": ("pipelines", "apache_beam", "ecompulse.epochs", "ecompulse.transforms", "ecompulse.runners"),
    "ui": ("pipelines", "apache_beam", "ecompulse.cli", "ecompulse.transforms", "ecompulse.runners"),
    "cli": ("pipelines",),
}
"""Room to what its modules may not import."""

WITHOUT_BEAM = """
import importlib, pkgutil, sys
sys.modules["apache_beam"] = None  # importing it is an ImportError from now on
import {package} as room
names = [module.name for module in pkgutil.walk_packages(room.__path__, "{package}.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert len(names) > 3, names
clients = {{"deltalake", "sqlalchemy", "kafka", "boto3", "redis"}} & set(sys.modules)
assert not clients, clients
"""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each import of a file, wherever it stands in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, str(node.module)
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def violations(room: str) -> list[str]:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for line, name in imports(path):
            if any(name == barred or name.startswith(f"{barred}.") for barred in FORBIDDEN[room]):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_it_may(room: str) -> None:
    assert not violations(room)


def test_every_room_has_its_rule() -> None:
    assert set(FORBIDDEN) == set(ROOMS)


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    code = tmp_path / "example.py"
    code.write_text("import a.b\ndef f():\n    from c import d\n")
    assert list(imports(code)) == [(1, "a.b"), (3, "c"), (3, "c.d")]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["ecompulse.kernels", "ecompulse.simulator"])
def test_room_works_where_beam_is_not(package: str) -> None:
    blocked = [sys.executable, "-c", WITHOUT_BEAM.format(package=package)]
    done = subprocess.run(blocked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_setting_of_polars_allocator_comes_before_polars():
    code = "import os, sys, pipelines; print('polars' in sys.modules, os.environ['_RJEM_MALLOC_CONF'])"
    said = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for env in ({**os.environ, "_RJEM_MALLOC_CONF": "abort:false"}, _without("_RJEM_MALLOC_CONF"))
    ]
    assert said == ["False abort:false\n", "False dirty_decay_ms:10000,muzzy_decay_ms:10000\n"]


def _without(name: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != name}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_beam(command: str) -> None:
    blocked = (
        "import sys; sys.modules['apache_beam'] = None; from ecompulse.cli.__main__ import main; main(sys.argv[1:])"
    )
    called = [sys.executable, "-c", blocked, command, "--help"]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


def module_of(path: Path) -> str:
    """The name that a file is imported under."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    named = ("ecompulse", *parts) if parts[0] in ROOMS else parts
    return ".".join(named[:-1] if named[-1] == "__init__" else named)


def modules() -> dict[str, Path]:
    """Every file of the distribution by its name."""
    own = [*(ROOT / "ecompulse").glob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    return {module_of(path): path for path in (*own, *(path for room in ROOMS for path in (ROOT / room).rglob("*.py")))}


def needed(path: Path, files: Container[str]) -> set[str]:
    """Files that a file imports; of `from package import module` the module."""
    found = {name for _, name in imports(path) if name in files}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def test_no_import_goes_in_a_circle() -> None:
    """Wherever an import stands; only the front door, which imports by name when asked, is looked through."""
    files = modules()
    needs = {name: needed(path, files) - {name} for name, path in files.items() if name != "ecompulse"}
    needs["ecompulse"] = set()
    graphlib.TopologicalSorter(needs).prepare()  # CycleError names the circle


def test_every_room_has_its_link() -> None:
    """By it Python, type checkers and editors find `ecompulse.<room>`, and setup.py puts it into the wheel."""
    folders = {path.parts[-2] for path in ROOT.glob("*/__init__.py")}
    assert folders == {*ROOMS, "pipelines", "ecompulse"}
    assert {path.name: path.readlink() for path in (ROOT / "ecompulse").iterdir() if path.is_symlink()} == {
        room: Path("..", room) for room in ROOMS
    }


def test_every_folder_of_modules_is_a_package_that_says_what_it_is() -> None:
    """setup.py finds packages by their __init__.py: a folder without one would be missing from the wheel."""
    for room in (*ROOMS, "pipelines"):
        for folder in {path.parent for path in (ROOT / room).rglob("*.py")}:
            init = folder / "__init__.py"
            assert init.exists(), folder
            assert ast.get_docstring(ast.parse(init.read_text())), init


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def code_blocks(text: str) -> str:
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_commands_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    code = code_blocks(text) + "\n".join(re.findall(r"`([^`\n]+)`", text))
    assert set(re.findall(r"(?m)^make ([a-z-]+)", code)) <= make_targets()
    modules = set(re.findall(r"-m (pipelines\.\w+|ecompulse\.\w+)", code))
    for module in modules:
        room = module.removeprefix("ecompulse.").replace(".", "/")
        assert (ROOT / f"{room}.py").exists() or (ROOT / room / "__main__.py").exists(), module
    assert {module.split(".")[1] for module in modules if module.startswith("pipelines.")} <= set(COMMANDS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_files_that_exist(name: str) -> None:
    document = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_readme_opens_with_two_commands_and_shows_every_way_to_test() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.strip()]
    assert "make demo" in "\n".join(lines[:10])
    assert "make test" in "\n".join(lines[:10])
    code = code_blocks("\n".join(lines) + "\n")
    for command in ("make test", "make test ARGS=", "make unit", "make coverage", "make clean"):
        assert command in code, command


def jobs() -> dict[str, JobSpec[Any]]:
    """The jobs among the commands."""
    return {job: importlib.import_module(f"pipelines.{job}").SPEC for job in JOBS}


def programs() -> set[str]:
    """Modules of pipelines/ that can be run."""
    files = [path for path in (ROOT / "pipelines").glob("*.py") if path.stem != "__main__"]
    return {path.stem for path in files if 'if __name__ == "__main__":' in path.read_text()}


def test_every_program_is_a_command() -> None:
    assert programs() == set(COMMANDS)


def test_readme_says_which_jobs_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (here|planned)\b[^|]*\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {name for name, status in rows if status == "here"} == set(jobs())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_name_flags_that_exist(name: str) -> None:
    """Of the jobs; tools have few and their own."""
    text = (ROOT / name).read_text()
    for job, spec in jobs().items():
        shown = re.findall(rf"-m pipelines\.{job}((?:[^\n`]|\\\n)*)", text)
        named = {flag for line in shown for flag in re.findall(r"--(\w+)", line)} - {"help"}
        assert named <= {flag.name for flag in all_flags(spec.settings)}


def test_mapping_shown_in_the_readme_is_one() -> None:
    [block] = [text for text in yaml_blocks("README.md") if text.startswith("fields:")]
    assert parse_mapping(block).fields["event_id"] == "uid"


def test_enrichment_shown_in_its_document_is_one() -> None:
    [block] = yaml_blocks("docs/event_enrichment.md")
    config = parse_enrich(block)
    for step in config.lookups:
        assert parse_spec(str(step.lookup)).key.endswith("_id")


def yaml_blocks(name: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", sorted((ROOT / "runner_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_runner_config_is_a_file_of_flags(path: Path) -> None:
    options = parse("test", "", all_flags(JobSettings), [f"--config={path}"])
    assert options.values["runner"]
