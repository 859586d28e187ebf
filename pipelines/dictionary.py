"""`python -m pipelines.dictionary`: the same as `ecompulse dictionary`."""

import sys

from ecompulse.cli.dictionary import main

if __name__ == "__main__":
    sys.exit(main())
