"""A worker's own last line is found in what Spark and Py4J make of it."""

import pytest

from ecompulse.runners.spark.failures import last_line

JAVA = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed 1 times
(TID 7) (127.0.0.1 executor driver): org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in process
    {source}
{raised}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/x/worker.py", line 5, in main
    process()
{last}

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:572)
Caused by: something else: of Java's
"""


@pytest.mark.parametrize(
    "last",
    [
        "ZeroDivisionError: division by zero [while running 'Divide']",
        "ecompulse.io.lookups.store.LookupFailed: look-up failed: steps.user: no answer",
        "KeyboardInterrupt",
    ],
)
def test_the_last_error_of_the_last_traceback(last):
    text = JAVA.format(source="return 1 / 0: it", raised="ValueError: first", last=last)
    assert last_line(text) == last


def test_without_python_the_first_line():
    assert last_line("\nMaster removed our application: KILLED\n\tat x") == "Master removed our application: KILLED"


def test_a_worker_that_died_said_nothing_itself():
    text = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed 1 times, most recent \
failure: Lost task 0.0 in stage 3.0 (TID 3) (127.0.0.1 executor driver): org.apache.spark.SparkException: Python \
worker exited unexpectedly (crashed)
\tat org.apache.spark.api.python.BasePythonRunner"""
    found = last_line(text)
    assert found.startswith("Lost task 0.0 in stage 3.0")
    assert found.endswith("Python worker exited unexpectedly (crashed)")


def test_nothing():
    assert last_line(" \n") == "no message"
