"""Values of flags: text to what it means; ValueError says what is wrong with it."""

import re
from math import isfinite
from pathlib import Path
from urllib.parse import urlsplit

from ecompulse.io.kafka.start import parse_start
from ecompulse.kernels.durations import parse_duration
from ecompulse.kernels.zones import is_zone

_MASTER = re.compile(
    r"local(\[(\*|[1-9]\d*)(,\s*\d+)?\])?|local-cluster\[[\d\s,]+\]|spark://\S+:\d+|(k8s|mesos)://\S+|yarn"
)


def duration(text: str) -> int:
    """A duration, ms."""
    return parse_duration(text)


def count(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no whole number above zero")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is no number from 0 to 1")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def zone(text: str) -> str:
    """A time zone by its IANA name."""
    if text == "UTC":
        return text
    if not is_zone(text):
        raise ValueError(f"{text!r} is no time zone such as UTC or Europe/Berlin")
    return text


def instance(text: str) -> str:
    """A name of an instance of a job: part of ids, rows and paths."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text):
        raise ValueError(f"{text!r} is no name; letters, digits, `_`, `.` and `-`, at most 63, are")
    return text


def web_address(text: str) -> str:
    """`http://HOST:PORT` or `https://...`, without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is no address; write http://HOST:PORT or https://HOST")  # it may hold a password
    return text.rstrip("/")


def trigger(text: str) -> str | int:
    """`available-now`, `once`, or a duration in ms."""
    return text if text in {"available-now", "once"} else duration(text)


def start(text: str) -> str:
    """Where Kafka partitions begin; ValueError when it says nothing that can be."""
    parse_start(text)
    return text


def positive(text: str) -> float:
    """A number above zero."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not isfinite(found) or found <= 0:
        raise ValueError(f"{text!r} is no number above zero")
    return found


def lasting(text: str) -> int:
    """A duration above zero, ms."""
    found = duration(text)
    if found < 1:
        raise ValueError(f"{text!r} is no duration above zero")
    return found


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError(f"{text!r} is no list such as orders,page_views")
    return found


def spark_master(text: str) -> str:
    """URL of a cluster, as Spark knows them."""
    if not _MASTER.fullmatch(text):
        raise ValueError(f"wants local[2], spark://HOST:7077, k8s://URL or yarn, not {text!r}")
    return text


def spark_setting(text: str) -> tuple[str, str]:
    """`spark.KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals or not key.startswith("spark."):
        raise ValueError(f"wants spark.KEY=VALUE, not {text!r}")
    return key, value


def receiver(text: str) -> tuple[str | None, str]:
    """Name, if there is one, and URL of `[NAME=]URL`; ValueError, which does not repeat it, for another text."""
    named = re.match(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)", text)
    name, url = (named[1], named[2]) if named else (None, text)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:.", url):
        raise ValueError("wants [NAME=]SCHEME:..., such as alertmanager://HOST:PORT or https://HOST/PATH")
    return name, url


def absolute(path: str) -> str:
    """A path that means the same in every process; URIs stay as they are."""
    return path if "://" in path else str(Path(path).absolute())
