"""Errors that a user reads: each message is one clear line, without a traceback."""


class UserError(Exception):
    """Wrong use: a flag, a file, a service. Exit status 2; nothing has been changed."""


class JobError(Exception):
    """The job cannot go on, and can be resumed. Exit status 1."""


class Unusable(JobError):  # noqa: N818  # of a place
    """A place is full, gone or not accessible: retrying is useless until somebody has repaired it."""


class Refused(JobError):  # noqa: N818  # a decision, not a fault
    """The input is wrong, and a retry would read the same input: stop, and do not retry."""


class Superseded(JobError):  # noqa: N818  # a fact about this driver, not a fault
    """A newer driver runs on this checkpoint; this one must stop and must not retry."""


class StateDamaged(JobError):  # noqa: N818
    """A file that a checkpoint refers to is missing or not what was sealed."""
