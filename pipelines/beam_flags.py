"""Names of Beam's own flags."""

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


def beam_flags() -> frozenset[str]:
    """Every flag that an option class of Beam's declares, without dashes."""
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    classes = list(PipelineOptions.__subclasses__())
    while classes:
        options = classes.pop()
        classes += options.__subclasses__()
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(parser)  # noqa: SLF001  # Beam's own hook for option classes
    names = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001
    return frozenset(name.lstrip("-") for name in names)
