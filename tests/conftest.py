"""Settings of all tests, and the servers that some of them need."""

import os

from hypothesis import HealthCheck, settings

from support.examples import STANDARD, tried

pytest_plugins = ["services.fixtures"]

# How long an example takes depends on who else is at work on the machine: no deadline, and a slow start is no fault.
# CI runs the same examples for the same code: what is looked for anew is looked for where someone can look into it.
settings.register_profile(
    "ecompulse",
    max_examples=tried(STANDARD),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
settings.load_profile("ecompulse")
