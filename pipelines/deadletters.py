"""`python -m pipelines.deadletters`: the same as `ecompulse deadletters`."""

import sys

from ecompulse.cli.deadletters import main

if __name__ == "__main__":
    sys.exit(main())
