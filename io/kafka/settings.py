"""`--kafka_config`: how clients log in and encrypt, in Kafka's own words, for both clients."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from ecompulse.epochs.errors import UserError

FLAG: Final = "--kafka_config"

PYTHON_NAMES: Final = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "client.id": "client_id",
}
"""Setting, as librdkafka calls it, to kafka-python's name."""

REGISTRY: Final = "schema.registry."
"""How settings of the schema registry begin."""
REGISTRY_NAMES: Final = frozenset(
    REGISTRY + name
    for name in ("basic.auth.user.info", "ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
)

RECONNECT_MS: Final = 1_000
"""Between attempts at the most: with the clients' own 30 s a broker that is back is not noticed for as long."""

SECRETS: Final = frozenset({"sasl.password", "ssl.key.password", f"{REGISTRY}basic.auth.user.info"})
_FILES: Final = frozenset(
    prefix + name
    for prefix in ("", REGISTRY)
    for name in ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
)
_CHOICES: Final = {
    "security.protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl.mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
}
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class ClientSettings:
    """What clients are told, secrets as references only: it may be pickled, shown and logged.

    Attributes:
        values: setting to value; `${NAME}` stands for an environment variable, in a secret `file:PATH` for the
            content of a file. Both are looked up, on each machine, when a client connects.
    """

    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def login(self) -> bool:
        """Whether clients say who they are."""
        return self.values.get("security.protocol", "").startswith("SASL")

    def resolved(self) -> dict[str, str]:
        """Settings with their secrets; UserError for a reference that leads nowhere."""
        return {name: _resolve(name, value) for name, value in self.values.items()}

    def _clients(self) -> dict[str, str]:
        return {name: value for name, value in self.resolved().items() if not name.startswith(REGISTRY)}

    def registry(self) -> dict[str, str]:
        """Settings of the schema registry, without what their names begin with."""
        found = self.resolved().items()
        return {name.removeprefix(REGISTRY): value for name, value in found if name.startswith(REGISTRY)}

    def for_python(self) -> dict[str, Any]:
        """Arguments of kafka-python's clients."""
        known = {PYTHON_NAMES[name]: value for name, value in self._clients().items()}
        return {"reconnect_backoff_max_ms": RECONNECT_MS, **known}

    def for_librdkafka(self) -> dict[str, Any]:
        """Settings of confluent-kafka's clients."""
        return {"reconnect.backoff.max.ms": RECONNECT_MS, **self._clients()}


def load_settings(path: str | None) -> ClientSettings:
    """The settings in a YAML file; UserError, naming the flag, for what is wrong in it."""
    if path is None:
        return ClientSettings()
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{FLAG}: {path}: {error.strerror}") from None
    except yaml.YAMLError:  # its text quotes the file, which may hold a secret against our advice
        raise UserError(f"{FLAG}: {path} is no YAML") from None
    if not isinstance(found, dict):
        raise UserError(f"{FLAG}: {path}: wants `setting: value` lines")
    values = {str(name): value for name, value in found.items()}
    for name, value in values.items():
        _check(name, value, f"{FLAG}: {path}")
    if values.get("security.protocol", "PLAINTEXT").startswith("SASL"):
        for name in ("sasl.mechanism", "sasl.username", "sasl.password"):
            if name not in values:
                raise UserError(
                    f"{FLAG}: {path}: security.protocol is {values['security.protocol']}: {name} is missing"
                )
    settings = ClientSettings(values)
    settings.resolved()  # a reference that leads nowhere is a mistake of now, not of the first epoch
    return settings


def _check(name: str, value: Any, where: str) -> None:
    known = [*PYTHON_NAMES, *sorted(REGISTRY_NAMES)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {' '.join(known)}"
        raise UserError(f"{where}: {name}: no such setting{hint}")
    if not isinstance(value, str):
        raise UserError(f"{where}: {name}: wants text")
    if name in SECRETS and not (_VARIABLE.fullmatch(value) or value.startswith("file:")):
        raise UserError(f"{where}: {name}: a secret is not written here; give ${{VARIABLE}} or file:PATH")
    choices = _CHOICES.get(name)
    if choices and value not in choices:
        raise UserError(f"{where}: {name}: {value!r} is none of {', '.join(choices)}")


def _resolve(name: str, value: str) -> str:
    if name in SECRETS and value.startswith("file:"):
        try:
            return Path(value.removeprefix("file:")).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(f"{FLAG}: {name}: {value}: {error.strerror}") from None
    text = _VARIABLE.sub(lambda found: _variable(name, found.group(1)), value)
    if name in _FILES and not Path(text).is_file():
        raise UserError(f"{FLAG}: {name}: {text}: no such file")
    return text


def _variable(setting: str, name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise UserError(f"{FLAG}: {setting}: environment variable {name} is not set") from None
