"""The wheel, as the zip that `spark-submit --py-files` takes: workers need nothing else of ours."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from services.server import Unavailable
from services.spark import install
from support.process import events, write_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """The wheel under a name that Spark takes for a zip."""
    folder = tmp_path_factory.mktemp("dist")
    found = subprocess.run([ROOT / "scripts" / "find-uv"], capture_output=True, text=True, check=True, cwd=ROOT)
    command = [found.stdout.strip(), "build", "-q", "--wheel", "--python", sys.executable, "--out-dir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    [wheel] = folder.glob("*.whl")
    return wheel.rename(folder / "ecompulse.zip")


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A Python that has what ecompulse needs, and no ecompulse."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "needed.pth").write_text(f"{ours}\n")  # its own .pth files, such as our editable one, are not read
    return folder / "bin" / "python"


@pytest.mark.heavy("a wheel is built, and every package imported in a new process")
@pytest.mark.slow
def test_every_package_imports_from_the_zip(archive, bare, tmp_path):
    with zipfile.ZipFile(archive) as packed:
        names = [name for name in packed.namelist() if name.endswith("/__init__.py")]
    packages = sorted(name.removesuffix("/__init__.py").replace("/", ".") for name in names)
    assert "ecompulse" in packages
    code = f"import importlib\nfor name in {packages}:\n    importlib.import_module(name)"
    alone = subprocess.run([bare, "-c", "import ecompulse"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "No module named 'ecompulse'" in alone.stderr
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    done = subprocess.run(
        [bare, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.heavy("Spark starts, and its worker imports all that a job needs")
@pytest.mark.night
@pytest.mark.slow
def test_spark_submit_takes_it(archive, bare, tmp_path):
    try:
        submit = install() / "bin" / "spark-submit"
    except Unavailable as error:
        pytest.skip(str(error))
    source = write_lines(tmp_path / "in" / "1.jsonl", events(50))
    with zipfile.ZipFile(archive) as packed:
        packed.extract("ecompulse/__main__.py", tmp_path)
    main = shutil.copy(tmp_path / "ecompulse" / "__main__.py", tmp_path / "main.py")
    done = subprocess.run(
        [
            submit, "--master", "local[1]", "--py-files", archive, "--conf", "spark.ui.enabled=false", main,
            "event_enrichment", f"--source={source}", "--drain", "--runner=PySparkRunner", "--num_shards=1",
            f"--checkpoint={tmp_path / 'checkpoint'}", f"--lake={tmp_path / 'lake'}", "--warehouse=none",
            "--progress=json",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYSPARK_PYTHON": str(bare), "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"numInputRows": 50' in done.stdout
