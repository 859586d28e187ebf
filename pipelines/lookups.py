"""`python -m pipelines.lookups`: the same as `ecompulse lookups`."""

import sys

from ecompulse.cli.lookups import main

if __name__ == "__main__":
    sys.exit(main())
