"""`python -m pipelines.show`: the same as `ecompulse show`."""

import sys

from ecompulse.cli.show import main

if __name__ == "__main__":
    sys.exit(main())
