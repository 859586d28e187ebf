"""What two drivers may write to one checkpoint."""

from dataclasses import replace

import pytest

from ecompulse.epochs.checkpoint import open_checkpoint
from ecompulse.epochs.errors import Superseded
from ecompulse.epochs.seal import Seal
from ecompulse.io.stores import LocalStore

SEAL = Seal(
    epoch=1, attempt="0001.0001", fencing_token=1, watermark=None, now=0, ranges=[], positions=[], snapshot=True,
    partitions={}, state={}, files={},
)  # fmt: skip


def test_the_seal_that_an_older_driver_wrote_stands(tmp_path):
    store = LocalStore(str(tmp_path))
    older = open_checkpoint(store, {})
    assert older.write_seal(SEAL) == SEAL
    newer = open_checkpoint(store, {})
    assert newer.write_seal(replace(SEAL, fencing_token=2, now=7)) == SEAL
    assert newer.seal_of(1) == SEAL
    with pytest.raises(Superseded, match=r"fencing token 2\) took over"):
        older.write_seal(replace(SEAL, epoch=2))
