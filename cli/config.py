"""Files that flags name: read, and opened as what they are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ecompulse.cli.settings import Inputs, Lookups, Time
from ecompulse.epochs.errors import JobError, UserError
from ecompulse.intake import Intake
from ecompulse.io.lookups.resources import check_resources
from ecompulse.io.lookups.store import LookupFailed
from ecompulse.kernels.config import ConfigError
from ecompulse.kernels.enrich.enrichment import EnrichConfig, parse_enrich
from ecompulse.kernels.mapping import load_mapping
from ecompulse.kernels.quality_totals import TotalQuality

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


def open_intake(inputs: Inputs, lookups: Lookups, time: Time) -> Intake:
    """How rows are read and enriched; UserError names the flag and the path of the wrong key."""
    try:
        mapping = load_mapping(inputs.mapping) if inputs.mapping else None
    except ConfigError as error:
        raise UserError(f"--mapping: {error}") from None
    enrich = read_config("--enrich", lookups.enrich, parse_enrich) if lookups.enrich else EnrichConfig()
    try:
        enrich = at_endpoint(enrich, lookups.dynamodb_endpoint)
        check_resources(enrich)
    except ConfigError as error:
        raise UserError(f"--enrich: {error}") from None
    except LookupFailed as error:
        raise JobError(f"--enrich: {error}") from None
    return Intake(mapping, enrich, TotalQuality(time.quality_window))


def at_endpoint(enrich: EnrichConfig, endpoint: str | None) -> EnrichConfig:
    """The configuration with look-ups in DynamoDB at an endpoint, but those that name one themselves."""
    for step in enrich.lookups:
        text = step.lookup or ""
        if endpoint and text.startswith("dynamodb:") and "endpoint=" not in text:
            separator = "&" if "?" in text else "?"
            enrich = enrich.having(replace(step, lookup=f"{text}{separator}endpoint={quote(endpoint)}"))
    return enrich
