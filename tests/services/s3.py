"""S3 and DynamoDB by moto's server, a child process. Facts: `url`, `access_key`, `secret_key`.

What clients find in `AWS_*` of the environment is checked by nobody, unless `start` is asked to: then facts have a
user who may do all, and one (`reader_key`, `reader_secret`) who may only read.
"""

import importlib.util
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from services.server import Server, Unavailable, free_port

REGION: Final = "us-east-1"
ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}
"""What a client of a server without checks needs in its environment."""

_CALLS_BEFORE_CHECKS: Final = 6  # those of `_users`
_READ: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}],
}
_ALL: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def install() -> Path:
    """The interpreter that has moto."""
    if importlib.util.find_spec("moto") is None:
        raise Unavailable("moto is not installed (the test extra)")
    return Path(sys.executable)


def start(folder: Path, *, checked: bool = False) -> Server:
    """A server that holds all in memory: a restart forgets it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [str(install()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {"INITIAL_NO_AUTH_ACTION_COUNT": str(_CALLS_BEFORE_CHECKS)} if checked else {}
    facts = {
        "url": f"http://127.0.0.1:{port}",
        "access_key": ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        "secret_key": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    }
    server = Server("moto", command, folder, port, environment=environment, facts=facts)
    server.ready = lambda: _answers(port)
    server.start()
    if checked:
        facts.update(_users(facts["url"]))
    return server


def client(server: Server, service: str = "s3") -> Any:
    """A boto3 client of the server, as its owner."""
    import boto3  # noqa: PLC0415  # an extra

    return boto3.client(
        service,
        endpoint_url=server.facts["url"],
        region_name=REGION,
        aws_access_key_id=server.facts["access_key"],
        aws_secret_access_key=server.facts["secret_key"],
    )


def _answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=5) as answer:
        return bool(answer.status == 200)


def _users(url: str) -> dict[str, str]:
    import boto3  # noqa: PLC0415

    iam = boto3.client(
        "iam",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="first",
        aws_secret_access_key="first",  # noqa: S106  # nobody checks it
    )
    facts = {}
    for name, key, policy in (("owner", "access", _ALL), ("reader", "reader", _READ)):
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        secret = "secret_key" if name == "owner" else "reader_secret"
        facts |= {f"{key}_key": made["AccessKeyId"], secret: made["SecretAccessKey"]}
    return facts
