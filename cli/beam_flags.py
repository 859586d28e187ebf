"""Names of Beam's own flags, without importing Beam, which takes seconds."""

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_ADDS: Final = frozenset({"add_argument", "add_value_provider_argument"})


def beam_flags() -> frozenset[str]:
    """Every flag that an option class of the installed Beam declares, without dashes; read from its source."""
    spec = find_spec("apache_beam")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    source = Path(spec.submodule_search_locations[0], "options", "pipeline_options.py")
    calls = [node for node in ast.walk(ast.parse(source.read_bytes())) if isinstance(node, ast.Call)]
    adds = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in _ADDS]
    names = [str(name.value) for call in adds for name in call.args if isinstance(name, ast.Constant)]
    return frozenset(name.lstrip("-") for name in names if name.startswith("-"))
