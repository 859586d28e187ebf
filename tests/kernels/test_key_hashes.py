"""Fingerprints against lists and dictionaries, so few of them that many share their first half."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.kernels.key_hashes import KeyHashes, Layer, owners

PAIR = st.tuples(st.integers(0, 3), st.integers(0, 3))


def key_hashes(pairs: list[tuple[int, int]]) -> KeyHashes:
    hi, lo = np.array(pairs, np.uint64).reshape(-1, 2).T
    return KeyHashes(hi, lo)


def pairs(of: KeyHashes) -> list[tuple[int, int]]:
    return list(zip(of.hi.tolist(), of.lo.tolist(), strict=True))


@given(st.lists(PAIR))
def test_equal_ones_keep_their_order(rows):
    assert key_hashes(rows).order().tolist() == sorted(range(len(rows)), key=lambda place: rows[place])
    assert pairs(key_hashes(rows).distinct()) == sorted(set(rows))


@given(st.lists(PAIR))
def test_numbers_are_those_of_the_distinct_ones_in_order(rows):
    numbers, firsts = key_hashes(rows).numbered()
    names = sorted(set(rows))
    assert numbers.tolist() == [names.index(row) for row in rows]
    assert firsts.tolist() == [rows.index(name) for name in names]


@given(st.lists(PAIR), st.lists(PAIR))
def test_all_rows_of_what_is_asked_for_are_found(rows, asked):
    places, owner = key_hashes(sorted(rows)).find(key_hashes(asked))
    wanted = [(n, place) for n, ask in enumerate(asked) for place, row in enumerate(sorted(rows)) if row == ask]
    assert list(zip(owner.tolist(), places.tolist(), strict=True)) == wanted


@given(st.lists(PAIR), st.sets(PAIR))
def test_owners_are_told_apart(rows, keys):
    names = sorted(keys)
    assert owners(key_hashes(names), key_hashes(rows)).tolist() == [
        names.index(row) if row in keys else -1 for row in rows
    ]


@given(st.lists(PAIR), st.lists(PAIR))
def test_the_newer_rows_of_a_key_stand_alone(older, newer):
    old, new = (Layer(key_hashes(sorted(part)), np.arange(len(part))) for part in (older, newer))
    old = Layer(old.key_hashes, old.rows + 100)
    found = old.under(new)
    wanted = [(row, n) for n, row in enumerate(sorted(newer))]
    wanted += [(row, n + 100) for n, row in enumerate(sorted(older)) if row not in newer]
    assert list(zip(pairs(found.key_hashes), found.rows.tolist(), strict=True)) == sorted(wanted)
