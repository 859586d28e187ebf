"""What Spark's page calls a program, its jobs and their stages."""

import json
import os
import subprocess
import sys

import pytest

from ecompulse.runners.spark.context import app_name


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        (None, "session_analytics"),
        ("", "session_analytics"),
        ("pyspark-shell", "session_analytics"),
        ("__main__.py", "session_analytics"),
        ("sessions of the shop", "sessions of the shop"),
    ],
)
def test_the_users_name_else_the_job(known, shown):
    assert app_name(known, "session_analytics", "/x/pipelines/__main__.py") == shown


PROGRAM = """
import json, urllib.request
import apache_beam as beam
from ecompulse.runners.spark import PySparkRunner, SparkSettings
settings = SparkSettings(master="local[2]", parallelism=2, app_name="a job")
runner = PySparkRunner(settings, label=lambda: "a job epoch 7")
with beam.Pipeline(runner=runner) as pipeline:
    pipeline | beam.Create([1, 2]) | "Spread" >> beam.Reshuffle() | "Text" >> beam.Map(str)
place = f"{runner.context.uiWebUrl}/api/v1/applications"
read = lambda path="": json.load(urllib.request.urlopen(place + path))
[app] = read()
jobs, stages = read(f"/{app['id']}/jobs"), read(f"/{app['id']}/stages")
print(json.dumps([app["name"], [job["description"] for job in jobs], sorted(stage["name"] for stage in stages)]))
"""


@pytest.mark.heavy("Spark starts, and its worker imports Beam")
@pytest.mark.night
@pytest.mark.slow
def test_the_page_names_program_jobs_and_stages(spark_cluster):
    del spark_cluster  # skips where there is no Spark
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    name, jobs, stages = json.loads(done.stdout.splitlines()[-1])
    assert name == "a job"
    assert jobs == ["a job epoch 7: 3 stages"]
    assert stages == ["Create", "Create, Spread", "Results to the driver"]
