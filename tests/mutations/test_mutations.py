"""The push's tests notice when a guarantee is broken: each mutant in a copy of the project, against some of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mutations.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "demo", "*.egg-info")
FAILED = 1
"""Exit status of pytest when tests have failed; others are errors of its own."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project, which stands before the installed one."""
    root = tmp_path_factory.mktemp("mutants") / "project"
    shutil.copytree(ROOT, root, ignore=LEFT_OUT, symlinks=True)
    return root


def run(root: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("PYTEST_XDIST_WORKER", "ECOMPULSE_NIGHT"):
        environment.pop(name, None)  # what notices a mutant is to be a test of every push
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def named(mutant: Mutant) -> str:
    return re.sub(r"\W+", "-", mutant.name)


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_fits_the_code(mutant):
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests)


@pytest.mark.night
@pytest.mark.heavy("some tests of every push, which must pass where nothing is broken")
def test_nothing_broken_is_noticed_nowhere(copy):
    done = run(copy, tuple(sorted({test for mutant in MUTANTS for test in mutant.tests})))
    assert done.returncode == 0, done.stdout


@pytest.mark.night
@pytest.mark.heavy("some tests of every push, until one fails")
@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_is_noticed(copy, mutant):
    file = copy / mutant.file
    before = file.read_text()
    file.write_text(before.replace(mutant.old, mutant.new))
    try:
        done = run(copy, mutant.tests)
    finally:
        file.write_text(before)
    assert done.returncode == FAILED, f"{mutant.name}: {done.stdout[-2000:]}"
