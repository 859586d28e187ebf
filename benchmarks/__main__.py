"""`python -m benchmarks [NAME ...]`: run benchmarks and print their tables."""

import importlib
import sys
from typing import Final

NAMES: Final = (
    "enrichment",
    "epochs",
    "formats",
    "state",
    "sessions",
    "fraud",
    "fraud_cost",
    "hostile",
    "kafka",
    "latency",
    "metrics",
    "nab",
    "page",
    "planted",
    "spark_epochs",
    "spark_jobs",
    "spark_tasks",
)


def main() -> int:
    """Run the named benchmarks, or all."""
    wanted = sys.argv[1:] or NAMES
    for name in wanted:
        if name not in NAMES:
            print(f"benchmarks: {name}: no such benchmark; there are {', '.join(NAMES)}", file=sys.stderr)
            return 2
        print(f"\n## {name}\n", flush=True)
        importlib.import_module(f"benchmarks.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
