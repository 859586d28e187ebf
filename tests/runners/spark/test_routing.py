"""All of a key go to one task, no element is lost, and numbers of shards are shared out evenly."""

from collections import Counter

import pytest
from apache_beam.coders import (
    BytesCoder,
    FastPrimitivesCoder,
    StrUtf8Coder,
    TupleCoder,
    VarIntCoder,
    WindowedValueCoder,
)
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.runners.spark.beam_internals import create_InputStream
from ecompulse.runners.spark.routing import split_by_task

KEYS = {
    VarIntCoder: st.integers(-(2**40), 2**40),
    StrUtf8Coder: st.text(max_size=5),
    BytesCoder: st.binary(max_size=5),
    FastPrimitivesCoder: st.one_of(st.integers(-9, 9), st.booleans(), st.text(max_size=2), st.none()),
}


def windowed(key_coder) -> WindowedValueCoder:
    return WindowedValueCoder(TupleCoder((key_coder(), BytesCoder())), GlobalWindows().get_window_coder())


def encode(coder: WindowedValueCoder, pairs) -> bytes:
    impl = coder.get_impl()
    return b"".join(impl.encode_nested(WindowedValue(pair, 0, (GlobalWindow(),))) for pair in pairs)


def decoded(coder: WindowedValueCoder, data: bytes) -> list[tuple[object, bytes]]:
    stream, found = create_InputStream(data), []
    while stream.size() > 0:
        found.append(coder.get_impl().decode_from_stream(stream, True).value)
    return found


@pytest.mark.parametrize("key_coder", KEYS, ids=lambda coder: coder.__name__)
def test_each_element_once_and_each_key_in_one_task(key_coder):
    @given(st.lists(st.tuples(KEYS[key_coder], st.binary(max_size=9))), st.integers(1, 7))
    def check(pairs, tasks):
        coder = windowed(key_coder)
        parts = split_by_task(encode(coder, pairs), coder, tasks)
        assert set(parts) <= set(range(tasks))
        found = {task: decoded(coder, data) for task, data in parts.items()}
        assert Counter(repr(pair) for there in found.values() for pair in there) == Counter(map(repr, pairs))
        homes = {(repr(key), task) for task, there in found.items() for key, _ in there}
        assert len(homes) == len({key for key, _ in homes})

    check()


def test_shards_are_shared_out_evenly():
    coder = windowed(VarIntCoder)
    parts = split_by_task(encode(coder, [(shard, b"") for shard in range(12)]), coder, 4)
    assert [len(decoded(coder, parts[task])) for task in range(4)] == [3, 3, 3, 3]
