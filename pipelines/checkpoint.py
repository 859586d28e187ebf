"""`python -m pipelines.checkpoint`: the same as `ecompulse checkpoint`."""

import sys

from ecompulse.cli.checkpoint import main

if __name__ == "__main__":
    sys.exit(main())
