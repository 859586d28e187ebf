import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_wheel_and_sdist_work_from_an_empty_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "wheel", tmp_path / "dist"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.suffix for path in (tmp_path / "dist").iterdir()) == [".gz", ".whl"]
    assert done.stdout.count("a small job ran") == 2  # once from the wheel, once from the sdist
