"""Configuration files that flags name."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ecompulse.epochs.errors import UserError
from ecompulse.kernels.config import ConfigError

Read = TypeVar("Read")


def read_config(flag: str, path: str, parse: Callable[[str, str], Read]) -> Read:
    """What `parse(text, path)` makes of a file.

    Raises:
        UserError: one line with the flag, the file, and the path of the wrong key.
    """
    try:
        return parse(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise UserError(f"{flag}: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{flag}: {path}: not UTF-8") from None
    except ConfigError as error:
        raise UserError(f"{flag}: {error}") from None
