"""A service that does not answer at the start is asked again, and is exit 1 in the end; a mistake is exit 2."""

import pytest
import sqlalchemy as sa
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)

from ecompulse.cli.patience import Patience, WallClock
from ecompulse.epochs.errors import JobError, Unusable, UserError
from ecompulse.io.aws import may_pass
from services.postgres import Databases
from support.faults import Between, Fault
from support.process import Shop, events, write_lines


def answer(status, code):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (answer(503, "SlowDown"), True),
        (answer(500, "InternalError"), True),
        (answer(502, "Bad Gateway"), True),
        (answer(400, "ThrottlingException"), True),
        (answer(400, "RequestTimeout"), True),
        (answer(429, "TooMany"), True),
        (EndpointConnectionError(endpoint_url="http://x"), True),
        (ConnectTimeoutError(endpoint_url="http://x"), True),
        (ReadTimeoutError(endpoint_url="http://x"), True),
        (answer(404, "NoSuchBucket"), False),
        (answer(403, "AccessDenied"), False),
        (answer(403, "SignatureDoesNotMatch"), False),
        (answer(400, "ResourceNotFoundException"), False),
        (SSLError(endpoint_url="http://x", error="certificate verify failed"), False),
        (NoCredentialsError(), False),
        (ProfileNotFound(profile="x"), False),
    ],
    ids=lambda each: type(each).__name__ + str(each)[30:60] if isinstance(each, Exception) else "",
)
def test_which_faults_of_aws_may_pass(error, passes):
    assert may_pass(error) == passes


@pytest.fixture
def waits(monkeypatch):
    """What was waited for, in place of waiting."""
    found = []
    monkeypatch.setattr(WallClock, "wait", lambda _self, seconds, _stop: found.append(seconds))
    return found


def failing(times, error):
    left = [error] * times

    def body():
        if left:
            raise left.pop()
        return "here"

    return body


def test_it_asks_again_and_says_so_once(waits, capsys):
    assert Patience("job", 5)(failing(4, JobError("--lake: s3://x: no answer"))) == "here"
    assert len(waits) == 4
    assert sum(waits) < 20
    assert capsys.readouterr().err == "job: --lake: s3://x: no answer (trying again)\n"


@pytest.mark.parametrize("error", [UserError("no"), Unusable("no"), ValueError("no")])
def test_what_would_be_the_same_again_is_asked_once(waits, capsys, error):
    with pytest.raises(type(error)):
        Patience("job", 5)(failing(1, error))
    assert (waits, capsys.readouterr().err) == ([], "")


def test_in_the_end_it_gives_up(waits):
    with pytest.raises(JobError):
        Patience("job", 5)(failing(5, JobError("no")))
    assert len(waits) == 4


@pytest.mark.slow
def test_a_database_that_is_back_in_time_stops_nothing_and_one_that_is_not_is_a_line(tmp_path, postgres, monkeypatch):
    between = Between(postgres.port)
    url = sa.make_url(Databases(postgres).new()).set(port=between.port).render_as_string(hide_password=False)
    shop = Shop(tmp_path / "shop", tmp_path / "input", ("--num_shards=2", "--progress=none", "--drain"))
    write_lines(shop.source / "1.jsonl", events(10))
    between.fault = Fault.REFUSE
    monkeypatch.setattr(WallClock, "wait", lambda *_: None)
    status, said = shop.run_here(f"--warehouse={url}")
    assert status == 1
    assert said.count("trying again") == 1
    assert said.splitlines()[-1].startswith("event_enrichment: --warehouse: warehouse:postgresql")
    assert not (shop.root / "checkpoint").exists()
    monkeypatch.setattr(WallClock, "wait", lambda *_: setattr(between, "fault", Fault.NONE))
    status, said = shop.run_here(f"--warehouse={url}")
    assert (status, said.count("\n"), said.count("trying again")) == (0, 1, 1)
    between.close()
