"""What every store promises, over a directory and over a bucket."""

import base64
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import UserError
from ecompulse.io.encryption import encrypted
from ecompulse.io.s3 import S3Store, StoreError, _client
from ecompulse.io.stores import LocalStore, open_store
from services import s3
from support.examples import examples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bucket(moto):
    name = f"contract-{uuid.uuid4().hex[:8]}"
    s3.client(moto).create_bucket(Bucket=name)
    with pytest.MonkeyPatch.context() as patch:
        for key, value in s3.ENVIRONMENT.items():
            patch.setenv(key, value)
        _client.cache_clear()
        yield name


@pytest.fixture
def in_bucket(bucket, moto):
    return S3Store(f"s3://{bucket}/{uuid.uuid4().hex}/x", moto.facts["url"])


@pytest.fixture(params=["directory", "bucket", "encrypted directory", "encrypted bucket"])
def store(request, tmp_path):
    kept = LocalStore(str(tmp_path / "store")) if "dir" in request.param else request.getfixturevalue("in_bucket")
    if "encrypted" not in request.param:
        return kept
    (tmp_path / "key").write_text(base64.b64encode(os.urandom(32)).decode())
    return encrypted(kept, [f"file:{tmp_path / 'key'}"])


def test_a_name_is_written_once(store):
    assert store.create("a/b", b"1")
    assert not store.create("a/b", b"2")
    assert store.get("a/b") == b"1"
    store.put("a/b", b"3")
    assert store.get("a/b") == b"3"


def test_what_is_absent_is_a_file_not_found(store):
    with pytest.raises(FileNotFoundError):
        store.get("a/b")
    with pytest.raises(FileNotFoundError):
        store.age("a/b")
    store.delete(["a/b"])
    assert store.list("a") == []


def test_a_folder_is_no_prefix(store):
    for name in ("run/1", "run/2/3", "running/4"):
        store.put(name, b"")
    assert store.list("run") == ["run/1", "run/2/3"]
    assert store.list("") == ["run/1", "run/2/3", "running/4"]
    assert store.list("run/2") == ["run/2/3"]


def test_age_is_in_seconds_and_small(store):
    store.put("a", b"")
    assert -1 <= store.age("a") < 30


def test_workers_get_a_copy(store):
    store.put("a", b"1")
    assert pickle.loads(pickle.dumps(store)).get("a") == b"1"  # noqa: S301  # our own bytes


def test_of_many_who_create_a_name_one_has_written_it(store):
    for round_ in range(5):
        results, gate = {}, threading.Barrier(6)

        def create(number, name=f"r/{round_}", results=results, gate=gate):
            gate.wait()
            results[number] = store.create(name, str(number).encode())

        threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [winner] = [number for number, wrote in results.items() if wrote]
        assert store.get(f"r/{round_}") == str(winner).encode()


NAMES = st.sampled_from([f"{folder}/{name}" for folder in ("a", "ab", "a.b/c") for name in ("1", "2", "x y", "é")])
CONTENT = st.binary(max_size=8)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES, CONTENT),
        st.tuples(st.just("put"), NAMES, CONTENT),
        st.tuples(st.just("delete"), st.lists(NAMES, max_size=3)),
        st.tuples(st.just("list"), st.sampled_from(["", "a", "ab", "a.b", "a.b/c", "nothing"])),
        st.tuples(st.just("get"), NAMES),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", ["directory", "bucket"])
@examples(25)
@given(OPERATIONS)
def test_any_sequence_of_operations_is_that_of_a_dict(kind, tmp_path_factory, bucket, moto, operations):
    store = (
        LocalStore(str(tmp_path_factory.mktemp("store")))
        if kind == "directory"
        else S3Store(f"s3://{bucket}/{uuid.uuid4().hex}", moto.facts["url"])
    )
    model: dict[str, bytes] = {}
    for operation, *arguments in operations:
        if operation == "create":
            name, data = arguments
            assert store.create(name, data) == (name not in model)
            model.setdefault(name, data)
        elif operation == "put":
            name, data = arguments
            store.put(name, data)
            model[name] = data
        elif operation == "delete":
            store.delete(arguments[0])
            for name in arguments[0]:
                model.pop(name, None)
        elif operation == "list":
            below = f"{arguments[0]}/" if arguments[0] else ""
            assert store.list(arguments[0]) == sorted(name for name in model if name.startswith(below))
        elif arguments[0] in model:
            assert store.get(arguments[0]) == model[arguments[0]]
        else:
            with pytest.raises(FileNotFoundError):
                store.get(arguments[0])


def test_a_bucket_is_listed_and_emptied_in_pages(in_bucket):
    names = [f"n/{number:04d}" for number in range(1005)]
    for name in names:
        in_bucket.put(name, b"")
    assert in_bucket.list("n") == names
    in_bucket.delete(names)
    assert in_bucket.list("n") == []


class FlakyClient:
    """Sends the first PUT, loses its answer, and sends it again, as botocore does."""

    def __init__(self, real: Any) -> None:
        self.real, self.head_object, self.puts = real, real.head_object, 0

    def put_object(self, **request: Any) -> Any:
        self.puts += 1
        if self.puts == 1:
            self.real.put_object(**request)
        return self.real.put_object(**request)


def test_our_own_put_that_was_sent_twice_is_ours(in_bucket, monkeypatch):
    flaky = FlakyClient(in_bucket._client)
    monkeypatch.setattr("ecompulse.io.s3._client", lambda *_: flaky)
    assert in_bucket.create("a", b"same")
    assert not in_bucket.create("a", b"same"), "another call, if only of the same bytes, has not written it"


def test_a_conflict_is_tried_again(in_bucket, monkeypatch):
    real, calls = in_bucket._client, []

    class Busy:
        def put_object(self, **request: Any):
            calls.append(request)
            if len(calls) < 3:
                said = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
                raise ClientError(said, "PutObject")
            return real.put_object(**request)

    monkeypatch.setattr("ecompulse.io.s3._client", lambda *_: Busy())
    assert in_bucket.create("a", b"1")
    assert len(calls) == 3


def test_a_delete_that_is_refused_says_so(in_bucket, monkeypatch):
    class Refusing:
        def delete_objects(self, **_: Any):
            return {"Errors": [{"Key": "x/a", "Code": "AccessDenied"}]}

    monkeypatch.setattr("ecompulse.io.s3._client", lambda *_: Refusing())
    with pytest.raises(StoreError, match="x/a: access denied"):
        in_bucket.delete(["a"])


def test_a_bucket_that_is_not_there_is_one_line(in_bucket, moto):
    for call in (
        lambda store: store.list(""),
        lambda store: store.create("a", b""),
        lambda store: store.get("a"),
        lambda store: store.check(writable=False),
    ):
        with pytest.raises(StoreError) as caught:
            call(S3Store("s3://not-there/x", moto.facts["url"]))
        assert str(caught.value).startswith("s3://not-there/x")
        assert str(caught.value).endswith("there is no such bucket")
    in_bucket.check(writable=True)
    assert in_bucket.list("") == []


def test_a_server_that_is_not_there_is_one_line(bucket, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9/") as caught:
        S3Store(f"s3://{bucket}/x", "http://127.0.0.1:9").list("")
    assert "\n" not in str(caught.value)
    assert "not-a-secret" not in str(caught.value)


def test_a_name_that_no_bucket_can_have_is_one_line(bucket, moto):
    del bucket
    with pytest.raises(StoreError, match=r"Parameter validation failed: Invalid bucket name") as caught:
        S3Store("s3://No_Bucket!/x", moto.facts["url"]).list("")
    assert "\n" not in str(caught.value)


def test_what_may_not_be_written_is_said_at_the_check(tmp_path, monkeypatch):
    server = s3.start(tmp_path, checked=True)
    try:
        s3.client(server).create_bucket(Bucket="guarded")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.facts["reader_key"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.facts["reader_secret"])
        monkeypatch.setattr("ecompulse.io.s3._client", _client.__wrapped__)
        store = S3Store("s3://guarded/x", server.facts["url"])
        store.check(writable=False)
        with pytest.raises(StoreError, match="access denied"):
            store.check(writable=True)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        with pytest.raises(StoreError, match="the credentials are not accepted") as caught:
            store.check(writable=False)
        assert "wrong-secret" not in str(caught.value)
    finally:
        server.stop()


def test_a_uri_without_a_bucket_is_wrong_use():
    with pytest.raises(UserError, match="names no bucket"):
        open_store("s3://")
    with pytest.raises(UserError, match="gs://bucket/x: no such store"):
        open_store("gs://bucket/x")
    assert open_store("s3://bucket/a/b/", "http://h:1") == S3Store("s3://bucket/a/b", "http://h:1")


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path):
    store = LocalStore(str(tmp_path))
    store.put("a/b", b"1")
    ages = {"a/.tmp-old": 3700, "a/.tmp-new": 60, ".tmp-old": 3700, "a/old": 3700}
    for name, age in ages.items():
        path = tmp_path / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    assert store.sweep() == 2
    assert store.list("") == ["a/b", "a/old"]
    assert (tmp_path / "a" / ".tmp-new").exists()
    assert LocalStore(str(tmp_path / "nowhere")).sweep() == 0


def test_a_killed_writer_leaves_what_is_swept(tmp_path):
    """SIGKILL between writing and link(): the file that `sweep` is there for."""
    code = (
        "import os, signal; from ecompulse.io.stores import LocalStore; os.fsync = lambda _: os.kill(os.getpid(), 9); "
        f"LocalStore({str(tmp_path)!r}).create('a/b', b'1')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    [left] = (tmp_path / "a").iterdir()
    store = LocalStore(str(tmp_path))
    assert store.list("") == []
    os.utime(left, (0, 0))
    assert store.sweep() == 1
    assert not left.exists()
