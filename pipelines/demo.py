"""`python -m pipelines.demo`: the same as `ecompulse demo`."""

import sys

from ecompulse.cli.demo import main

if __name__ == "__main__":
    sys.exit(main())
