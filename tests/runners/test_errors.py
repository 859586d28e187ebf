"""Errors of ours are found in what a runner makes of them."""

import pytest

from ecompulse.epochs.errors import JobError, StateDamaged, UserError
from ecompulse.io.lookups import LookupFailed
from ecompulse.runners.engine import clear

REMOTE = """generic::unknown: Traceback (most recent call last):
  File "/x/worker.py", line 1, in process
    raise {name}: {text} [while running 'EnrichEvents/ParDo(_Enrich)']
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ecompulse.io.lookups.store.LookupFailed", JobError),
        ("ecompulse.epochs.errors.StateDamaged", StateDamaged),
        ("ecompulse.epochs.errors.UserError", UserError),
    ],
)
def test_the_text_of_a_worker_of_another_process(name, kind):
    text = "look-up failed: steps.user: no answer within 500 ms"
    found = clear(RuntimeError(REMOTE.format(name=name, text=text)))
    assert type(found) is kind
    assert str(found) == text


def test_what_a_worker_cannot_open_is_named_by_its_flag():
    name, text = "ecompulse.kernels.config.ConfigError", "steps.user.lookup: parquet:u.parquet: no such file: u.parquet"
    found = clear(RuntimeError(REMOTE.format(name=name, text=text)))
    assert type(found) is UserError
    assert str(found) == f"--enrich: on a worker: {text}"


def test_a_cause_in_this_process():
    error = RuntimeError("wrapped")
    error.__cause__ = LookupFailed("look-up failed")
    assert clear(error) is error.__cause__


def test_what_is_not_ours_stays():
    error = RuntimeError("ecompulse.elsewhere.Error: x")
    assert clear(error) is error
