"""`python -m ecompulse`: jobs and tools by name."""

import sys

from ecompulse.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
