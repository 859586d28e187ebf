"""No message repeats a secret, wherever a user wrote it; what is none stays readable."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecompulse.epochs.masking import without_secrets
from pipelines import event_enrichment
from support.examples import examples

PASSWORDS = st.text("Q/@:?#+%=.,;!$*)~", min_size=6, max_size=12).filter(lambda text: "Q" in text.strip("'\":"))
PLACES = [
    "kafka://app:{}@host:9092/topic", "kafka://app:{0}@a:9092,app:{0}@b:9092", "redis://:{}@host",
    "postgresql+psycopg://app:{}@[::1]:5432/shop?sslmode=require", "s3://AKIA:{}@bucket/prefix",
    "s3://bucket/prefix?token={}&x=1", "jsonl:out?x=1&Secret={}", "redis://host?sasl.password={}", "Password = {}",
    "host=h password={} dbname=d", "spark.hadoop.fs.s3a.secret.key={}", "https://h/p?X-Amz-Signature={}", "api_key:{}",
    "{{'password': '{}'}}", '{{"client_secret": "{}"}}', "['access_token={}']", "password='{0} {0}'",
]  # fmt: skip
PLAIN = [
    "--warehouse: is no SQLAlchemy URL; give sqlite:///PATH, postgresql://USER@HOST/DB or none",
    "write user=NAME&password=env:VARIABLE or password=file:PATH", "password: '${VARIABLE}'",
    "--sink: kafka9:x: no such sink; give kafka://host:port or jsonl:DIRECTORY", "--source: s3://bucket/a@b/c: no such",
    "--source: /data/a@b/*.csv: no such file", "sqlite:////data/a@b.db", "warehouse:postgresql+psycopg://app:***@h:5432",
    "--kafka_config: sasl.password: a secret is not written here; give ${VARIABLE} or file:PATH", "x: mail a@b.com",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@given(PASSWORDS)
@examples(40)
def test_a_secret_is_not_repeated(place, password):
    check_hidden(place, password)


@pytest.mark.parametrize("place", ["u:{}@host:5432/d", "postgres:app:{}@host"])
@given(PASSWORDS.filter(lambda text: "/" not in text))
@examples(40)
def test_nor_without_a_scheme(place, password):
    check_hidden(place, password)


def check_hidden(place, password):
    for text in (place, f"--x: {place}: is no place", f"--x: {place!r} is none of a, b"):
        said = without_secrets(text.format(password))
        assert "Q" not in said
        assert without_secrets(said) == said


@pytest.mark.parametrize("place", ["https://{}@host/path", "s3://{}@bucket"])
def test_a_user_without_a_password_may_be_a_token(place):
    assert without_secrets(place.format("ghp_geheim")) == place.format("***")


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text):
    assert without_secrets(text) == text


def test_what_stands_around_a_secret_stays():
    said = without_secrets("--sink: https://app:geheim@host:1/a?x=1&token=geheim&y=2: no such sink; give 'x'")
    assert said == "--sink: https://app:***@host:1/a?x=1&token=***&y=2: no such sink; give 'x'"


@pytest.mark.parametrize(
    "flag",
    [
        "--source=ftp://u:geheim@h/d", "--source=u:geheim@h/d", "--sink=https://u:geheim@h", "--sink=x:y?secret=geheim",
        "--checkpoint=ftp://u:geheim@h/c", "--checkpoint_backup=ftp://h/c?token=geheim", "--lake=gs://u:geheim@h/l",
        "--warehouse=mysql://u:geheim@h/d", "--warehouse=nonsense?password=geheim", "--trigger=https://u:geheim@h",
        "--progress=https://u:geheim@h", "--mapping=https://u:geheim@h/m", "--enrich=https://h/?api_key=geheim",
        "--s3_endpoint=ftp://u:geheim@h", "--metrics_port=https://u:geheim@h", "--runner=https://u:geheim@h",
        "--kafka_config=https://u:geheim@h", "--config=https://u:geheim@h", "https://u:geheim@h",
    ],
)  # fmt: skip
def test_a_wrong_flag_does_not_repeat_it(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.jsonl").write_text(json.dumps({"event_id": "e"}) + "\n")
    given = [] if flag.startswith("--source") else ["--source=e.jsonl"]
    assert event_enrichment.main([*given, "--warehouse=none", flag]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "geheim" not in said


@pytest.mark.parametrize(
    "text",
    ["warehouse: postgresql://u:geheim@h/d\n  lake: x", "trigger: {password: geheim}", "sink: [a, {token: geheim}]",
     "warehouse: *geheim", "warehouse: !geheim x", "warehouse: 'geheim\n", 'warehouse: "geheim\\q"'],
)  # fmt: skip
def test_a_broken_file_of_flags_does_not_repeat_it(text, tmp_path, capsys):
    path = tmp_path / "flags.yaml"
    path.write_text(text)
    assert event_enrichment.main([f"--config={path}"]) == 2
    assert "geheim" not in capsys.readouterr().err
