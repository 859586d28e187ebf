"""DoFns that count their rows: rows in and out of each are reported to the manifest, once per bundle."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import apache_beam as beam
import polars as pl
from apache_beam.typehints.decorators import IOTypeHints

FACTS: Final = "facts"
"""Tag of the output that carries what the driver must know of a run: pairs of one key and JSON (see Manifest.add)."""

FACT: Final = beam.typehints.Tuple[int, bytes]
"""Type of what is under FACTS: all facts have one key, so that they can be gathered in one place."""

MAIN: Final = "rows"
"""Tag under which rows of a main output are counted."""


def fact(told: Mapping[str, Any]) -> tuple[int, bytes]:
    """A fact for the manifest."""
    return 0, json.dumps(told).encode()


class CountedDoFn(beam.DoFn):
    """A DoFn that reports how many rows came in and went out, by tag, at the end of each bundle.

    `Scope` gives it the name of its place in the pipeline. In a pipeline without a scope it has no name and reports
    nothing. What one DoFn handed on and the next received must agree before an epoch is sealed: see `audit`.

    Attributes:
        node: name in the pipeline; empty outside an epoch.
        main: whether rows go to its main output, and not only under tags.
        audited: whether the rows that came in are compared with those handed on; False where the input is not rows.
    """

    node: str = ""
    main: bool = False
    audited: ClassVar = True

    _came: int
    _went: Counter[str]

    def default_type_hints(self) -> IOTypeHints:
        """None: `CountedParDo` declares the output types, and Beam would take a tenth of a second to infer them."""
        return IOTypeHints.empty()

    def start_bundle(self) -> None:
        """Begin to count."""
        self._came, self._went = 0, Counter()

    def came(self, rows: int) -> None:
        """Count rows that came in."""
        self._came += rows

    def went(self, rows: int, tag: str = MAIN) -> None:
        """Count rows that go out under a tag, or that stay here for the reason that it names."""
        self._went[tag] += rows

    def counted(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A frame on its way to the main output."""
        self._went[MAIN] += frame.height
        return frame

    def facts(self) -> Iterable[tuple[int, bytes]]:
        """The facts to report at the end of a bundle."""
        if self.node and (self._came or any(self._went.values())):
            yield fact({"node": self.node, "in": self._came, "out": self._went})

    def finish_bundle(self) -> Iterable[Any]:
        """Tell."""
        for told in self.facts():
            yield beam.pvalue.TaggedOutput(FACTS, in_global_window(told))


def in_global_window(value: Any) -> Any:
    """A value as `finish_bundle` must give it."""
    return beam.utils.windowed_value.WindowedValue(value, 0, [beam.transforms.window.GlobalWindow()])


class CountedParDo(beam.PTransform):
    """A ParDo with typed outputs, plus an output of its facts, which `Scope` finds.

    Output: the PCollection of `main`, or without one a dict of PCollections by tag. Without types Beam pickles frames:
    across stages, and at every step to count their bytes.
    """

    def __init__(self, fn: CountedDoFn, main: Any = None, tags: Mapping[str, Any] | None = None) -> None:
        """`main`: type of the main output; `tags`: type of each tagged one."""
        super().__init__()
        fn.main = main is not None
        self._fn = fn
        self._main = main
        self._tags = {**(tags or {}), FACTS: FACT}

    def expand(self, inputs: Any) -> Any:
        """One ParDo."""
        of = Any if self._main is None else self._main
        main = None if self._main is None else MAIN
        made = inputs | "Do" >> beam.ParDo(self._fn).with_output_types(of, **self._tags).with_outputs(
            *self._tags, main=main
        )
        tagged = {tag: made[tag] for tag in self._tags}  # an output is made when it is asked for
        return tagged if main is None else made[main]


def counted_frames(fn: CountedDoFn) -> CountedParDo:
    """A ParDo from frames to frames."""
    return CountedParDo(fn, pl.DataFrame)
