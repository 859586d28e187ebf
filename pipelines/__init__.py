"""The four jobs, composition only; the tools under their old names."""

import os

# Polars' allocator (jemalloc) gives memory back within a second, and the next batch asks for it again, page by page: a
# twentieth of a job's CPU. It reads this when Polars is imported; a setting of the user's own stands.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:10000")

import ecompulse  # noqa: F401  # from here on a signal ends the program quietly
