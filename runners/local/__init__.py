"""`LocalRunner`: bounded pipelines in this process, elements by reference, on all cores."""

from ecompulse.runners.local.runner import LocalRunner

__all__ = ["LocalRunner"]
