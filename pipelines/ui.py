"""`python -m pipelines.ui`: the same as `ecompulse ui`."""

import sys

from ecompulse.cli.ui import main

if __name__ == "__main__":
    sys.exit(main())
