"""`python -m pipelines.lake`: the same as `ecompulse lake`."""

import sys

from ecompulse.cli.lake import main

if __name__ == "__main__":
    sys.exit(main())
