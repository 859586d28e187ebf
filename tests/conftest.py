"""Settings of all tests, and the servers that some of them need."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["services.fixtures"]

# How long an example takes depends on who else is at work on the machine: no deadline, and a slow start is no fault.
settings.register_profile("ecompulse", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("ecompulse")
