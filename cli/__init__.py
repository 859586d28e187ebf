"""The command line: flags to settings, the start of a job, and the tools."""

import ecompulse  # noqa: F401  # from here on a signal ends the program quietly
