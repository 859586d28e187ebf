"""What is told to clients, and where reading starts: no broker needed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.errors import UserError
from ecompulse.io.kafka.positions import allocate
from ecompulse.io.kafka.settings import load_settings
from ecompulse.io.kafka.start import Start, parse_start


def written(folder: Path, text: str) -> str:
    path = folder / "kafka.yaml"
    path.write_text(text)
    return str(path)


def test_one_file_is_told_to_both_clients_in_their_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_USER", "shop")
    (tmp_path / "secret").write_text("horse\n")
    text = "security.protocol: SASL_PLAINTEXT\nsasl.mechanism: PLAIN\nsasl.username: ${SHOP_USER}\n"
    text += f"sasl.password: file:{tmp_path}/secret\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.for_python() == {
        "reconnect_backoff_max_ms": 1000,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "shop",
        "sasl_plain_password": "horse",
    }
    assert settings.for_librdkafka()["sasl.password"] == "horse"
    assert "horse" not in repr(settings)


def test_no_file_is_no_settings() -> None:
    assert load_settings(None).values == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "wants `setting: value` lines"),
        ("a: [", "is no YAML"),
        ("sasl.pasword: x", "sasl.pasword: no such setting; did you mean sasl.password?"),
        ("client.id: 7", "client.id: wants text"),
        ("sasl.password: geheim", "sasl.password: a secret is not written here; give ${VARIABLE} or file:PATH"),
        ("ssl.key.password: a${B}c", "ssl.key.password: a secret is not written here; give ${VARIABLE} or file:PATH"),
        ("sasl.password: file:/nowhere", "sasl.password: file:/nowhere: No such file or directory"),
        ("ssl.ca.location: /nowhere.pem", "ssl.ca.location: /nowhere.pem: no such file"),
        ("security.protocol: TLS", "security.protocol: 'TLS' is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("security.protocol: SASL_SSL", "security.protocol is SASL_SSL: sasl.mechanism is missing"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        load_settings(written(tmp_path, text))
    assert str(raised.value).startswith("--kafka_config: ")
    assert str(raised.value).endswith(said)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("earliest", Start("earliest")),
        ("latest", Start("latest")),
        ("1700000000000", Start(1_700_000_000_000)),
        ("2026-03-01T00:00:00+01:00", Start(1_772_319_600_000)),
        ("a.b-c/3=17, d:0=0", Start("earliest", {("a.b-c", 3): 17, ("d", 0): 0})),
    ],
)
def test_starts(text: str, start: Start) -> None:
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "first", "2026-03-01", "2026-03-01T00:00:00", "a/x=1", "a/1=2;b/1=2"])
def test_what_is_no_start_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants earliest, latest, a time with its zone, or TOPIC/PARTITION=OFFSET"):
        parse_start(text)


ROWS = st.dictionaries(st.integers(0, 9), st.integers(0, 1_000), max_size=8)


@given(ROWS, st.dictionaries(st.integers(0, 9), st.integers(0, 100)), st.integers(0, 3_000))
def test_an_epoch_is_as_large_as_it_may_be_and_starves_nobody(
    waiting: dict[int, int], tops: dict[int, int], budget: int
) -> None:
    taken = allocate(waiting, tops, budget)
    assert taken.keys() == waiting.keys()
    assert all(0 <= taken[part] <= rows for part, rows in waiting.items())
    assert sum(taken.values()) == min(budget, sum(waiting.values()))
    if budget >= 4 * len(waiting) > 0:
        assert all(taken[part] > 0 for part, rows in waiting.items() if rows)
