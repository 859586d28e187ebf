"""`python -m pipelines.submit`: the same as `ecompulse submit`."""

import sys

from ecompulse.cli.submit import main

if __name__ == "__main__":
    sys.exit(main())
