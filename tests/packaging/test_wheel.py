import os
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.heavy("builds, installs into two empty environments")
@pytest.mark.slow
def test_wheel_and_sdist_work_from_an_empty_folder(tmp_path: Path) -> None:
    said = tried_from_a_wheel(tmp_path / "dist")
    assert sorted(path.suffix for path in (tmp_path / "dist").iterdir()) == [".gz", ".whl"]
    assert said.count("a small job ran") == 2  # once from the wheel, once from the sdist
    [wheel] = (tmp_path / "dist").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    whole = {*files("pipelines", ""), *files("ecompulse", "")}
    rooms = [path.name for path in (ROOT / "ecompulse").iterdir() if path.is_symlink()]
    assert packed == {*whole, *(name for room in rooms for name in files(room, "ecompulse/"))}


def tried_from_a_wheel(dist: Path, **environment: str) -> str:
    """What `scripts/wheel` said, which must have succeeded."""
    done = subprocess.run(
        [ROOT / "scripts" / "wheel", dist],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(room: str, prefix: str) -> set[str]:
    """What a folder should bring into the wheel: everything in it but caches."""
    found = (path for path in (ROOT / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"{prefix}{path.relative_to(ROOT).as_posix()}" for path in found}


@pytest.mark.heavy("builds, installs, and runs the demo")
@pytest.mark.slow
@pytest.mark.night
def test_the_demo_and_what_it_says_to_try_next_run_from_a_wheel(tmp_path: Path) -> None:
    said = tried_from_a_wheel(tmp_path / "dist", ECOMPULSE_WHEEL_DEMO="1")
    assert said.count("lines to try next ran") == 2
