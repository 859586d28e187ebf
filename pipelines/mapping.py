"""`python -m pipelines.mapping`: the same as `ecompulse mapping`."""

import sys

from ecompulse.cli.mapping import main

if __name__ == "__main__":
    sys.exit(main())
