"""Secrets by reference: `env:NAME` or `file:PATH`; they stand in no configuration and in no message."""

import os
from pathlib import Path


def secret_place(text: str) -> str:
    """`env:NAME` or `file:PATH`, the path made absolute; ValueError, which does not repeat it, for anything else."""
    kind, _, place = text.partition(":")
    if kind not in {"env", "file"} or not place:
        raise ValueError("wants the place, env:NAME or file:PATH, not what stands there")
    return text if kind == "env" else f"file:{Path(place).absolute()}"


def read_secret(source: str) -> str:
    """The secret that a reference names.

    Raises:
        ValueError: names the variable or file, never its content.
    """
    kind, _, place = source.partition(":")
    try:
        return os.environ[place] if kind == "env" else Path(place).read_text(encoding="utf-8").strip()
    except KeyError:
        raise ValueError(f"environment variable {place} is not set") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{place} cannot be read: {type(error).__name__}") from None
