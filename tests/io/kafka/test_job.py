"""A whole job from topics to topics and a lake, killed inside its protocol: a numbered sequence per key finds all."""

import base64
import json
import signal
from pathlib import Path

import polars as pl
import psutil
import pytest
from deltalake import DeltaTable

from services.kafka import PASSWORDS
from services.server import Server
from support.numbered import Numbered, send, sequences
from support.process import Shop, command
from support.topics import Topics

pytestmark = pytest.mark.slow

USERS, EACH = 23, 40
FLAGS = (
    "--trigger=available-now",
    "--max_records_per_epoch=300",
    "--num_shards=2",
    "--sink_units=2",
    "--progress=none",
)


@pytest.fixture
def numbered() -> Numbered:
    return Numbered(USERS)


@pytest.fixture
def shop(topics: Topics, tmp_path: Path, numbered: Numbered) -> Shop:
    events = topics.make(3)
    send(topics, events, numbered, USERS * EACH)
    prefix = f"{events}."
    flags = (
        *FLAGS,
        f"--sink=kafka://{topics.bootstrap}",
        f"--topic_prefix={prefix}",
        "--route=purchase:orders",
    )
    return Shop(tmp_path, f"kafka://{topics.bootstrap}/{events}", flags)


def check_all_there_once(shop: Shop, topics: Topics, numbered: Numbered) -> None:
    prefix = shop.flags[-2].partition("=")[2]
    wanted = numbered.wanted()
    views = sequences(record.row for record in topics.committed(f"{prefix}enriched_events"))
    orders = sequences(record.row for record in topics.committed(f"{prefix}orders"))
    assert views == {user: numbers[::2] for user, numbers in wanted.items()}  # in this order, nothing sorted
    assert orders == {user: numbers[1::2] for user, numbers in wanted.items()}
    assert len(topics.committed(f"{prefix}dead_letters")) == numbered.bad
    lake = pl.from_arrow(DeltaTable(str(shop.root / "lake" / "enriched_events")).to_pyarrow_table())
    assert isinstance(lake, pl.DataFrame)
    found = sequences(lake.select("user_id", "properties").iter_rows(named=True))
    assert {user: sorted(numbers) for user, numbers in found.items()} == wanted


def test_undisturbed(shop: Shop, topics: Topics, numbered: Numbered) -> None:
    status, said = shop.run_here()
    assert (status, said) == (0, "")
    check_all_there_once(shop, topics, numbered)


def test_a_job_that_has_ended_leaves_no_connection(shop: Shop) -> None:
    before = connections()
    assert shop.run_here() == (0, "")
    assert connections() <= before


def connections() -> set[int]:
    """Ports of this process from which it is connected to another."""
    return {each.laddr.port for each in psutil.Process().net_connections("tcp") if each.raddr}


@pytest.mark.parametrize("steps", [("kafka.written:5", "kafka.committed:2"), ("sealed:2", "kafka.ledger_sent:2")])
def test_killed_twice_and_started_again(shop: Shop, topics: Topics, numbered: Numbered, steps: tuple[str, str]) -> None:
    for step in steps:
        status, said = shop.run(crash_at=step)
        assert status == -signal.SIGKILL, f"{step} was never reached: {said}"
    status, said = shop.run_here()
    assert (status, said) == (0, "")
    check_all_there_once(shop, topics, numbered)


def test_progress_has_the_lag_of_each_partition_and_true_counts_of_rows(topics: Topics, tmp_path: Path) -> None:
    events = topics.make(2)
    topics.send(events, [b"{}"] * 3)
    topics.send_in_transaction(events, [b"{}"] * 4, commit=False)
    topics.send(events, [b"{}"] * 5)
    arguments = [f"--source=kafka://{topics.bootstrap}/{events}", "--lake=none", "--warehouse=none", "--trigger=once"]
    arguments += [f"--checkpoint={tmp_path}", "--max_records_per_epoch=10", "--progress=json"]
    status, shown, said = command("pipelines.event_enrichment", *arguments)
    assert (status, said) == (0, "")
    [source] = json.loads(shown.splitlines()[0])["sources"]
    assert source["lag"] == {f"{events}/0": 3, f"{events}/1": 0}
    assert source["numInputRows"] == 5  # of ten offsets, four aborted and a marker


def test_dead_letters_that_no_record_can_hold_are_cut_and_say_so(topics: Topics, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"x" * 1_000_000 + b"\n" + b"y" * 3_000 + b"\n")
    prefix = f"{topics.make()}."
    topics.make(1, f"{prefix}dead_letters")  # with the brokers' own limit
    arguments = [f"--source={events}", f"--sink=kafka://{topics.bootstrap}", f"--topic_prefix={prefix}", "--drain"]
    arguments += ["--warehouse=none", f"--checkpoint={tmp_path / 'c'}", f"--lake={tmp_path / 'l'}", "--progress=none"]
    assert command("pipelines.event_enrichment", *arguments) == (0, "", "")
    found = {
        record.headers: len(base64.b64decode(record.row["raw"])) for record in topics.committed(f"{prefix}dead_letters")
    }
    assert found == {(("raw-bytes", b"1000000"),): 512 * 1024, (): 3_000}


def values(count: int) -> list[bytes]:
    """Of records: events, and the last is no JSON."""
    return [*(value for _, value in Numbered(USERS).take(count - 1)), b"no JSON"]


def config(tmp_path: Path, kafka: Server, **changed: str) -> Path:
    settings = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "shop",
        "sasl.password": "${SHOP_PASSWORD}",
        "ssl.ca.location": kafka.facts["authority"],
        **{name.replace("_", "."): value for name, value in changed.items()},
    }
    path = tmp_path / "kafka.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    return path


def arguments(tmp_path: Path, kafka: Server, topic: str, sink: str = "") -> list[str]:
    secure = kafka.facts["secure"]
    return [
        f"--source=kafka://{secure}/{topic}", f"--kafka_config={tmp_path / 'kafka.yaml'}", "--lake=none",
        "--warehouse=none", f"--checkpoint={tmp_path / 'checkpoint'}", "--trigger=available-now", "--progress=json",
        *([f"--sink=kafka://{sink or secure}", f"--topic_prefix={topic}."] if sink != "none" else []),
    ]  # fmt: skip


@pytest.mark.parametrize("client", ["python", "confluent"])
def test_reads_and_writes_over_tls_with_a_password(
    topics: Topics, kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka")
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORDS["shop"])
    events = topics.make(2)
    topics.send(events, values(30))
    config(tmp_path, kafka)
    status, shown, said = command(
        "pipelines.event_enrichment", *arguments(tmp_path, kafka, events), f"--kafka_client={client}"
    )
    assert (status, said) == (0, "")
    assert len(topics.committed(f"{events}.enriched_events")) == 29
    written = b"".join(path.read_bytes() for path in (tmp_path / "checkpoint").rglob("*") if path.is_file())
    assert PASSWORDS["shop"].encode() not in written + shown.encode()


WRONG = {
    "password": ({}, "wrong-horse", "it refused user and password; see sasl.username and sasl.password"),
    "authority": ({"ssl_ca_location": "/etc/ssl/certs/ca-certificates.crt"}, None, "its certificate is not trusted"),
    "protocol": ({"security_protocol": "PLAINTEXT"}, None, "it closed the connection; it may want TLS or a login"),
    "no rights": ({"sasl_username": "stranger"}, PASSWORDS["stranger"], "no permission to read about it"),
    "variable": ({"sasl_password": "${NOT_SET_ANYWHERE}"}, None, "environment variable NOT_SET_ANYWHERE is not set"),
    "secret in the file": ({"sasl_password": "geheim"}, None, "sasl.password: a secret is not written here"),
    "setting": ({"sasl_user": "x"}, None, "sasl.user: no such setting; did you mean sasl.username?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_one_line_at_start_without_a_secret(
    topics: Topics, kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    changed, password, expected = WRONG[case]
    monkeypatch.setattr("ecompulse.io.kafka.cluster.CONNECT_MS", 2000)
    monkeypatch.setenv("SHOP_PASSWORD", password or PASSWORDS["shop"])
    config(tmp_path, kafka, **changed)
    if not Path(str(changed.get("ssl_ca_location", tmp_path))).exists():
        pytest.skip("this machine has no certificates of its own")
    status, shown, said = command("pipelines.event_enrichment", *arguments(tmp_path, kafka, topics.make()))
    assert (status, shown) == (2, "")
    assert said.startswith("event_enrichment: --")
    assert expected in said
    assert said.count("\n") == 1
    assert not any(secret in said for secret in ("geheim", "wrong-horse", *PASSWORDS.values()))
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--sink=kafka://127.0.0.1:1",), "--sink: kafka://127.0.0.1:1: nobody answers there"),
        (("--sink=kafka://{0}/topic",), "--sink: kafka://{0}/topic: names a topic"),
        (("--sink=kafka://{0}", "--route=purchase"), "--route: purchase: wants event_type:topic"),
        (("--sink=kafka://{0}", "--route=a:b", "--route=a:c"), "--route: a: is given twice"),
        (("--route=a:b",), "--route: there is no --sink=kafka://host:port"),
        (("--sink=kafka://{0}", "--topic_prefix=a/b"), "--topic_prefix: 'a/b' is no name of a topic"),
        (("--sink=kafka://{0}", "--sink_units=0"), "--sink_units: "),
        (("--start=yesterday",), "--start: 'yesterday': wants earliest, latest, a time with its zone"),
        (("--start=nowhere/0=3",), "--start: nowhere is no topic of --source"),
        (("--kafka_config=/nowhere.yaml",), "--kafka_config: /nowhere.yaml: No such file or directory"),
    ],
)
def test_wrong_flags_are_one_line_that_names_them(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], expected: str
) -> None:
    monkeypatch.setattr("ecompulse.io.kafka.cluster.CONNECT_MS", 500)
    source = f"--source=kafka://{topics.bootstrap}/{topics.make()}"
    given = [source, f"--checkpoint={tmp_path / 'c'}", *(flag.format(topics.bootstrap) for flag in flags)]
    status, _, said = command("pipelines.event_enrichment", *given, "--publish_attempts=1")
    assert status == (1 if "nobody" in expected else 2)
    assert expected.format(topics.bootstrap) in said
    assert said.strip().count("\n") == 0
    assert not (tmp_path / "c").exists()


def test_check_reads_topics_and_makes_nothing(topics: Topics, tmp_path: Path) -> None:
    events = topics.make()
    topics.send(events, values(30))
    given = [f"--source=kafka://{topics.bootstrap}/{events}", f"--sink=kafka://{topics.bootstrap}", "--check"]
    given += [f"--topic_prefix={events}.", f"--checkpoint={tmp_path / 'c'}", f"--lake={tmp_path / 'l'}"]
    status, shown, said = command("pipelines.event_enrichment", *given)
    assert (status, said) == (0, "")
    assert "30 rows: 29 good, 1 dead letters" in shown
    assert not list(tmp_path.iterdir())
    assert not [name for name in topics.admin.list_topics() if name.startswith(f"{events}.")]
