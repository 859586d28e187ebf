"""Random small pipelines give on LocalRunner what they give on Beam's own runner of one process."""

import json
import tempfile
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import window
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from hypothesis import example, given
from hypothesis import strategies as st

from ecompulse.runners.local import LocalRunner
from support.examples import examples


class Route(beam.DoFn):
    """Multiples of a number to a tagged output, of another one nowhere, the rest to the main one."""

    def __init__(self, tagged: int, dropped: int) -> None:
        self.tagged = tagged
        self.dropped = dropped

    def process(self, element, timestamp=beam.DoFn.TimestampParam):
        key, number = element
        if number % self.dropped == 1:
            return
        if number % self.tagged == 0:
            yield beam.pvalue.TaggedOutput("tagged", (key, number + 1))
            yield beam.pvalue.TaggedOutput("unread", int(timestamp))
        else:
            yield element
            yield beam.pvalue.TaggedOutput("tagged", element)


class Count(beam.DoFn):
    """Passes elements on, and at the end of each bundle says how many there were."""

    def start_bundle(self):
        self.seen = 0

    def process(self, element):
        self.seen += 1
        yield element

    def finish_bundle(self):
        # One for each element: their sum does not depend on how many bundles there are.
        for _ in range(self.seen):
            yield WindowedValue(("seen", 1), 0, [window.GlobalWindow()])


class Write(beam.DoFn):
    def __init__(self, path: str) -> None:
        self.path = path

    def process(self, element, span=beam.DoFn.WindowParam, timestamp=beam.DoFn.TimestampParam):
        # Beam's coder of windows knows ms, and clips one that begins with time itself when it is encoded, not before.
        first = isinstance(span, window.IntervalWindow) and span.start < MIN_TIMESTAMP + 60
        shown = "with time itself" if first else str(span)
        with Path(self.path).open("a") as file:
            file.write(json.dumps([element, shown, timestamp.micros // 1000]) + "\n")


def route(kept, label, draw):
    found = kept | f"Route {label}" >> beam.ParDo(Route(*draw)).with_outputs("tagged", main="main")
    return (found["main"], found["tagged"]) | f"Flatten {label}" >> beam.Flatten()


def spread(kept, label, draw):
    return kept | f"Spread {label}" >> beam.Reshuffle()


def count(kept, label, draw):
    counted = kept | f"Global {label}" >> beam.WindowInto(window.GlobalWindows())
    return counted | f"Count {label}" >> beam.ParDo(Count())


def group(kept, label, draw):
    return (
        kept
        | f"Group {label}" >> beam.GroupByKey()
        | f"Ungroup {label}" >> beam.MapTuple(lambda key, values: (key, sum(values) + len(values)))
    )


def combine(kept, label, draw):
    return kept | f"Combine {label}" >> beam.CombinePerKey(sum)


def stamp(kept, label, draw):
    return kept | f"Stamp {label}" >> beam.Map(lambda pair: window.TimestampedValue(pair, abs(pair[1]) % 30))


def windows(kept, label, draw):
    kinds = (window.FixedWindows(draw[0] + 1), window.SlidingWindows(6, 3), window.Sessions(draw[1] + 1))
    return kept | f"Windows {label}" >> beam.WindowInto(kinds[draw[0] % 3])


def twice(kept, label, draw):
    return (kept, kept | f"Again {label}" >> beam.Map(lambda pair: pair)) | f"Twice {label}" >> beam.Flatten()


MOVES = (route, spread, count, group, combine, stamp, windows, twice)
PAIRS = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "é", ""]), st.integers(-50, 50)), max_size=8)
STEPS = st.lists(
    st.tuples(st.sampled_from(MOVES), st.tuples(st.integers(2, 5), st.integers(2, 4))), min_size=1, max_size=5
)


def answer(runner, pairs, steps) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out")
        with beam.Pipeline(runner=runner, options=PipelineOptions([])) as pipeline:
            kept = pipeline | beam.Create(pairs)
            for number, (move, draw) in enumerate(steps):
                kept = move(kept, str(number), draw)
            kept | beam.ParDo(Write(str(path)))
        return sorted(path.read_text().splitlines()) if path.exists() else []


@pytest.mark.heavy("each example runs a pipeline on Beam's own runner")
@pytest.mark.slow
@examples(40)
@example(pairs=[("a", 0)], steps=[(windows, (2, 2)), (group, (2, 2))])  # a window that ends before 1970
@example(pairs=[("a", 0)], steps=[(windows, (3, 2)), (route, (2, 2))])  # one that begins with time itself
@example(pairs=[("a", 0)], steps=[(windows, (5, 2)), (route, (2, 2))])
@given(pairs=PAIRS, steps=STEPS)
def test_random_pipelines_give_the_same_on_both_runners(pairs, steps):
    expected = answer(FnApiRunner(), pairs, steps)
    assert answer(LocalRunner(threads=1), pairs, steps) == expected
    assert answer(LocalRunner(threads=2, frozen=True), pairs, steps) == expected


KEYS = st.one_of(
    st.integers(),
    st.text(max_size=2),
    st.binary(max_size=2),
    st.none(),
    st.booleans(),
    st.tuples(st.integers(0, 2), st.text(max_size=1)),
)


@pytest.mark.slow
@examples(25)
@given(keys=st.lists(KEYS, max_size=12))
def test_keys_are_equal_when_beam_encodes_them_alike(keys):
    def grouped(runner) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "out")
            with beam.Pipeline(runner=runner, options=PipelineOptions([])) as pipeline:
                groups = pipeline | beam.Create([(key, 1) for key in keys]) | beam.GroupByKey()
                (
                    groups
                    | beam.MapTuple(lambda key, values: (repr(key), len(list(values))))
                    | beam.ParDo(Write(str(path)))
                )
            return sorted(path.read_text().splitlines()) if path.exists() else []

    assert grouped(LocalRunner()) == grouped(FnApiRunner())
