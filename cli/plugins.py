"""Modules of a user that register steps, measures, sinks, sources, stores, look-ups or alert targets of their own."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from ecompulse.epochs.errors import UserError

PLUGINS: Final = "ECOMPULSE_PLUGINS"
"""Environment variable: modules that jobs and tools import first, with commas between; workers inherit it."""


def load_plugins(named: Sequence[str] = ()) -> None:
    """Import the modules that the variable names, and these, which it then names too; UserError for one that fails."""
    given = [name.strip() for name in os.environ.get(PLUGINS, "").split(",") if name.strip()]
    wanted = list(dict.fromkeys([*given, *named]))
    if not wanted:
        return
    here = str(Path.cwd())
    if here not in sys.path:  # a console script's path begins elsewhere
        sys.path.append(here)
    for name in wanted:
        try:
            import_module(name)
        except Exception as error:
            said = str(error).strip().splitlines()
            raise UserError(f"--plugin: {name}: {type(error).__name__}: {said[0] if said else 'no message'}") from error
    os.environ[PLUGINS] = ",".join(wanted)
