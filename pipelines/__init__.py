"""The four jobs and the command-line tools: composition only."""

import ecompulse  # noqa: F401  # from here on a signal ends the program quietly
