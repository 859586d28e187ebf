"""The four jobs, composition only; the tools under their old names."""

import ecompulse  # noqa: F401  # from here on a signal ends the program quietly
