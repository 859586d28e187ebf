"""What Spark starts as the application: `main.py JOB FLAGS` is `ecompulse JOB FLAGS`."""

import sys

from pipelines.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
