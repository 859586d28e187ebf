"""dbt with DuckDB, in an environment of its own: its requirements are not ours."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from services.server import cache, exclusive, run

ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("dbt-core==1.10.*", "dbt-duckdb==1.10.*")


def dbt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt in a project; Unavailable where it cannot be installed."""
    home = cache() / "dbt-1.10"
    with exclusive(cache() / "dbt.lock"):
        if not (home / "complete").exists():
            uv = run([str(ROOT / "scripts" / "find-uv")], "uv").strip()
            run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)], "dbt")
            run([uv, "pip", "install", "-q", "--python", str(home / "bin" / "python"), *_PACKAGES], "dbt")
            (home / "complete").touch()
    command = [home / "bin" / "dbt", "--no-send-anonymous-usage-stats", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
