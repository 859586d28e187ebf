"""`python -m pipelines`: the same as `ecompulse`."""

import sys

from ecompulse.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
