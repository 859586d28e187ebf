"""Third parties' chatter off the terminal: a user's one clear line must be seen."""

import logging
import os
import warnings


def quiet() -> None:
    """Call before Beam is imported."""
    logging.getLogger().setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
