"""`ecompulse submit JOB --config=FILE`: print the command that runs a job on its engine, or run it."""

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecompulse.cli.__main__ import JOBS
from ecompulse.cli.flags import load_config
from ecompulse.cli.guard import guarded
from ecompulse.cli.owned import own
from ecompulse.cli.submission import Submission, read_properties
from ecompulse.cli.tool import ToolParser
from ecompulse.cli.values import spark_setting
from ecompulse.epochs.errors import UserError

ENGINES: Final = ("spark", "flink", "local")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return guarded("submit", lambda: submit(sys.argv[1:] if argv is None else argv))


def submit(argv: Sequence[str]) -> int:
    """Print what runs a job, or run it in the place of this program."""
    argv = list(argv)
    at = argv.index("--") if "--" in argv else len(argv)
    options = _parser().parse_args(argv[:at])
    wanted = _submission(options, argv[at + 1 :])
    if options.own:
        return own(wanted, options.image, Path(options.state))
    commands = wanted.commands()
    if not options.run:
        print(*(shlex.join(command) for command in commands), sep=" &\n")
        return 0
    if len(commands) > 1:
        raise UserError(
            "--run: a job server goes on until it is stopped: start it, then run the job; see without --run"
        )
    _check_program(commands[0][0])
    sys.stdout.flush()
    return os.execvp(commands[0][0], commands[0])  # noqa: S606  # signals are the job's, not ours


def _parser() -> ToolParser:
    parser = ToolParser(
        prog="python -m pipelines.submit",
        description="Print the command that runs a job on its engine, or run it. What follows -- goes to the job.",
        allow_abbrev=False,
    )
    parser.add_argument("job", choices=tuple(JOBS))
    parser.add_argument("--config", required=True, help="YAML file of the job's flags")
    parser.add_argument("--engine", choices=ENGINES, help="engine [by the file's runner]")
    parser.add_argument("--master", help="spark://HOST:PORT, k8s://https://HOST:PORT, or Flink's HOST:PORT")
    parser.add_argument(
        "--properties",
        action="append",
        default=[],
        help="file of Spark's settings; of several the later ones win [spark-submit's own]",
    )
    parser.add_argument(
        "--conf", action="append", default=[], metavar="KEY=VALUE", help="one setting of Spark, over the files"
    )
    parser.add_argument(
        "--image", help="container image of driver and executors on Kubernetes [with --own: this pod's]"
    )
    parser.add_argument("--run", action="store_true", help="run it [print it]")
    parser.add_argument(
        "--own",
        action="store_true",
        help="within a pod of Kubernetes: keep one driver pod running, which ends with this one, and tell how it ended",
    )
    parser.add_argument(
        "--state",
        default=".",
        help="folder where --own leaves `alive` and `ready` for probes, and the driver's template [.]",
    )
    return parser


def _submission(options: Namespace, flags: Sequence[str]) -> Submission:
    config = load_config(options.config)
    engine = options.engine or _engine_of(config)
    if engine != "spark" and (options.properties or options.conf or options.image or options.own):
        raise UserError(f"--engine: {engine} takes no settings of Spark (--properties, --conf, --image, --own)")
    if engine == "local" and options.master:
        raise UserError("--master: a job in this process has none")
    conf = {}
    for path in options.properties[1:]:
        conf.update(read_properties(path))
    conf.update(dict(_setting(text) for text in options.conf))
    if options.image:
        conf["spark.kubernetes.container.image"] = options.image
    first = options.properties[0] if options.properties else None
    if first:
        read_properties(first)  # whether it is there
    master = options.master or (config.get("spark_master") if engine == "spark" else None)
    here = (
        options.config if (master or "").startswith("k8s://") or options.own else str(Path(options.config).absolute())
    )
    return Submission(options.job, engine, here, master, conf, first and str(Path(first).absolute()), flags)


def _engine_of(config: Mapping[str, Any]) -> str:
    runner = str(config.get("runner", "LocalRunner"))
    return {"PySparkRunner": "spark", "PortableRunner": "flink", "FlinkRunner": "flink"}.get(runner, "local")


def _setting(text: str) -> tuple[str, str]:
    try:
        return spark_setting(text)
    except ValueError as error:
        raise UserError(f"--conf: {error}") from None


def _check_program(name: str) -> None:
    import shutil

    if shutil.which(name) is None:
        raise UserError(f"--run: there is no {name} on the PATH")


if __name__ == "__main__":
    sys.exit(main())
