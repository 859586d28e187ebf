"""Runs jobs one after the other in this process, so that they share one Spark: RUNNER FOLDER SOURCE JOB,JOB [flags]."""

import sys
from pathlib import Path

from support.process import command


def main(runner: str, folder: str, source: str, jobs: str, *flags: str) -> int:
    """Each job's tables below FOLDER/job; 1 when one fails, with what it said."""
    for job in jobs.split(","):
        place = Path(folder, job)
        place.mkdir(parents=True)
        arguments = [f"--runner={runner}", f"--source={source}", f"--checkpoint={place / 'checkpoint'}"]
        arguments += [f"--lake={place / 'lake'}", "--warehouse=none", "--drain", "--num_shards=4", "--progress=none"]
        status, _, said = command(f"pipelines.{job}", *arguments, *flags)
        if status:
            sys.stderr.write(f"{job}: {said}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
