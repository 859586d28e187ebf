"""`python -m pipelines.alerts`: the same as `ecompulse alerts`."""

import sys

from ecompulse.cli.alerts import main

if __name__ == "__main__":
    sys.exit(main())
