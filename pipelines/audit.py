"""`python -m pipelines.audit`: the same as `ecompulse audit`."""

import sys

from ecompulse.cli.audit import main

if __name__ == "__main__":
    sys.exit(main())
