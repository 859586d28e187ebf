"""What an encrypted store keeps from whoever reads its files, and notices of whoever changes them."""

import base64
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import StateDamaged, UserError
from ecompulse.io.encryption import bare, below, encrypted
from ecompulse.io.secrets import secret_place
from ecompulse.io.stores import LocalStore
from support.examples import examples

SECRET = b"margarete@example.com" * 3


@pytest.fixture
def keys(monkeypatch):
    for name in ("OLD", "NEW"):
        monkeypatch.setenv(name, base64.b64encode(os.urandom(32)).decode())
    return "env:OLD", "env:NEW"


@pytest.fixture
def store(tmp_path, keys):
    return encrypted(LocalStore(str(tmp_path)), keys[:1])


def test_no_byte_of_a_content_stands_in_its_file_and_equal_contents_differ(store):
    store.create("a/1", SECRET)
    store.put("a/2", SECRET)
    kept = [bare(store).get(name) for name in ("a/1", "a/2")]
    assert not any(SECRET[at : at + 6] in data for data in kept for at in range(len(SECRET) - 6))
    assert kept[0][-len(SECRET) :] != kept[1][-len(SECRET) :]


@examples(30)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_whatever_bit_of_a_file_is_changed_is_noticed(tmp_path_factory, at, bit):
    folder = tmp_path_factory.mktemp("store")
    (folder / "key").write_text(base64.b64encode(bytes(32)).decode())
    store = encrypted(LocalStore(str(folder)), [f"file:{folder / 'key'}"])
    store.create("a", SECRET)
    data = bytearray(bare(store).get("a"))
    data[int(at * len(data))] ^= 1 << bit
    bare(store).put("a", bytes(data))
    with pytest.raises((StateDamaged, UserError), match="/a "):
        store.get("a")


@pytest.mark.parametrize("length", [0, 14, 15, 30, 34, 35, 36, 60])
def test_a_file_that_was_cut_is_noticed(store, length):
    store.create("a", SECRET)
    bare(store).put("a", bare(store).get("a")[:length])
    with pytest.raises((StateDamaged, UserError), match="/a "):
        store.get("a")


def test_a_file_in_the_place_of_another_is_noticed(store):
    store.create("seals/1", SECRET)
    bare(store).put("seals/2", bare(store).get("seals/1"))
    with pytest.raises(StateDamaged, match="seals/2 is damaged: it was changed, or belongs elsewhere"):
        store.get("seals/2")


def test_a_folder_is_the_same_files(store):
    below(store, "outputs").create("t/1", SECRET)
    assert store.get("outputs/t/1") == SECRET
    bare(store).put("t/1", bare(store).get("outputs/t/1"))
    with pytest.raises(StateDamaged):
        store.get("t/1")


def test_a_new_key_reads_what_the_old_one_wrote_and_writes_what_the_old_one_cannot_read(store, keys):
    store.create("a", SECRET)
    both = encrypted(bare(store), [keys[1], keys[0]])
    both.create("b", SECRET)
    assert (both.get("a"), both.get("b")) == (SECRET, SECRET)
    assert encrypted(bare(store), keys[1:]).get("b") == SECRET
    with pytest.raises(UserError, match=r"--checkpoint_key: .*/b was encrypted with another key"):
        store.get("b")


def test_a_file_that_is_not_encrypted_is_not_taken(store):
    bare(store).create("a", b"{}")
    with pytest.raises(UserError, match=r"/a is not encrypted"):
        store.get("a")


def test_what_is_pickled_has_no_key(store):
    store.create("a", SECRET)
    pickled = pickle.dumps(store)
    key = os.environ["OLD"]
    assert key.encode() not in pickled
    assert base64.b64decode(key) not in pickled
    assert pickle.loads(pickled).get("a") == SECRET  # noqa: S301  # our own bytes


@pytest.mark.parametrize(
    "text",
    ["", "short", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode(), "ü" * 44, "00" * 32],
)
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path, monkeypatch, text):
    monkeypatch.setenv("NONE", text)
    with pytest.raises(UserError, match=r"--to_key: env:NONE holds no key of 32 bytes in base64") as raised:
        encrypted(LocalStore(str(tmp_path)), ["env:NONE"], "to_key")
    assert len(text) < 6 or text not in str(raised.value)


def test_either_alphabet_and_a_line_end_are_a_key(tmp_path):
    raw = b"\xfb\xff" * 16
    for at, text in enumerate((base64.b64encode(raw), base64.urlsafe_b64encode(raw) + b"\n")):
        (tmp_path / str(at)).write_bytes(text)
    first, second = (encrypted(LocalStore(str(tmp_path)), [f"file:{tmp_path / str(at)}"]) for at in (0, 1))
    first.create("a", SECRET)
    assert second.get("a") == SECRET


@pytest.mark.parametrize("text", ["", "env:", "file:", "c2VjcmV0", "vault:x"])
def test_a_key_in_place_of_its_place_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="env:NAME or file:PATH") as raised:
        secret_place(text)
    assert not text or text in {"env:", "file:"} or text not in str(raised.value)
