"""`python -m pipelines.status`: the same as `ecompulse status`."""

import sys

from ecompulse.cli.status import main

if __name__ == "__main__":
    sys.exit(main())
