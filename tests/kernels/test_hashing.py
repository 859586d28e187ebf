"""Stored checkpoints and published rows depend on these numbers: they may never change."""

import hashlib

import polars as pl

from ecompulse.kernels.hashing import fingerprint, row_id, shard_of

KEYS = pl.Series(["a", "user-1", "ünïcode", ""])


def test_shards():
    assert shard_of(KEYS, 16).to_list() == [0, 4, 12, 3]


def test_fingerprints():
    assert fingerprint(KEYS[:2]).rows() == [
        (16629034431890738719, 15201566949650179872),
        (8968379626967066057, 7796588852892475844),
    ]
    assert fingerprint(pl.Series([None], dtype=pl.String)).rows() == [(None, None)]


def test_row_ids_tell_null_from_empty_and_join_from_split():
    frame = pl.DataFrame({"a": ["x", None, ""], "b": [1, 2, 3]})
    assert frame.select(row_id("a", "b")).to_series().to_list() == [
        "5f4c03d55ba8f40fac7b995f67ccd20c",
        "0b76f6c7c2db810fc908c09912e7505e",
        "6ece7c7cf73dbc7a0794c02989deec32",
    ]
    texts = pl.DataFrame({"a": ["xy", "x"], "b": ["z", "yz"]}).select(row_id("a", "b")).to_series()
    assert texts.n_unique() == 2


def test_a_part_that_is_joined_already_hashes_as_it_stands():
    # Ids of incidents have the name of a series in them: they must be those of the version before.
    series = "mark\x1fname\x1fEUR\x1f{}"
    found = pl.DataFrame({"a": ["rule"], "b": [series]}).select(row_id("a", "b")).item()
    assert found == hashlib.sha256(f"rule\x1f{series}".encode()).hexdigest()[:32]
