"""LocalRunner by itself: what it refuses, how it fails, and that threads do not show."""

import threading
import time
from pathlib import Path

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.utils.windowed_value import WindowedValue

from ecompulse.epochs.errors import JobError, UserError
from ecompulse.runners.engine import executor
from ecompulse.runners.local import LocalRunner


def on(runner: LocalRunner) -> beam.Pipeline:
    return beam.Pipeline(runner=runner, options=PipelineOptions([]))


class Slow(beam.DoFn):
    """Waits until two of its kind are at work, if threads let them."""

    met = threading.Barrier(2)

    def process(self, element):
        Slow.met.wait(timeout=60)
        yield element, threading.current_thread().name


class Note(beam.DoFn):
    """Leaves a line in a file for everything that happens to it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def note(self, what: str) -> None:
        with Path(self.path).open("a") as file:
            file.write(f"{what}\n")

    def setup(self):
        self.note("setup")

    def start_bundle(self):
        self.note("start")

    def process(self, element):
        self.note("element")
        if element == "bad":
            raise JobError("this one will not do")

    def finish_bundle(self):
        self.note("finish")

    def teardown(self):
        self.note("teardown")


class Gather(beam.DoFn):
    gathers = True

    def start_bundle(self):
        self.found = []

    def process(self, element):
        self.found.append(element)

    def finish_bundle(self):
        yield WindowedValue(sorted(self.found), 0, [beam.transforms.window.GlobalWindow()])


class Lines(beam.DoFn):
    """Writes what comes, for a test to read."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def process(self, element):
        with Path(self.path).open("a") as file:
            file.write(f"{element}\n")


class Widen(beam.DoFn):
    def process(self, element):
        element.insert_column(0, pl.Series("new", [1] * element.height))  # in place


def lines(path) -> list[str]:
    return path.read_text().splitlines()


def test_two_threads_work_at_the_same_time(tmp_path):
    with on(LocalRunner(threads=2)) as pipeline:
        spread = pipeline | beam.Create(["a", "b"]) | beam.Reshuffle()
        spread | beam.ParDo(Slow()) | beam.ParDo(Lines(tmp_path / "out"))
    assert len({line.split(", ")[1] for line in lines(tmp_path / "out")}) == 2


def test_a_pipeline_is_run_again_with_bundles_of_its_own(tmp_path):
    pipeline = on(LocalRunner(threads=1))
    pipeline | beam.Create(["good"]) | beam.ParDo(Note(str(tmp_path / "notes")))
    for _ in range(2):
        pipeline.run()
    assert lines(tmp_path / "notes") == ["setup", "start", "element", "finish", "teardown"] * 2


def test_after_an_error_the_next_run_begins_anew(tmp_path):
    pipeline = on(LocalRunner(threads=2))
    pipeline | beam.Create(["good", "bad", "good"]) | beam.ParDo(Note(str(tmp_path / "notes")))
    run = executor(pipeline)
    for _ in range(2):
        with pytest.raises(JobError, match="this one will not do"):
            run()
    assert "finish" not in lines(tmp_path / "notes")
    assert lines(tmp_path / "notes").count("setup") == 2


def test_the_error_of_another_thread_is_raised_and_ends_the_work_of_all(tmp_path):
    class Fail(beam.DoFn):
        """Fails in another thread than the first, which waits for that, then goes on slowly until it is stopped."""

        came = threading.Event()

        def process(self, element):
            with Path(tmp_path / "began").open("a") as file:
                file.write("x\n")
            if threading.current_thread() is not threading.main_thread():
                Fail.came.set()
                raise JobError("in a helper")
            Fail.came.wait(timeout=60)
            time.sleep(0.05)
            yield element

    pipeline = on(LocalRunner(threads=2))
    (
        pipeline
        | beam.Create(list(range(500)))
        | beam.Reshuffle()
        | beam.ParDo(Fail())
        | beam.ParDo(Lines(tmp_path / "out"))
    )
    with pytest.raises(JobError, match="in a helper"):
        executor(pipeline)()
    assert len(lines(tmp_path / "began")) < 500


def test_what_gathers_is_one_for_all_threads(tmp_path):
    with on(LocalRunner(threads=2)) as pipeline:
        both = (
            pipeline | beam.Create(["a", "b"]) | beam.Reshuffle() | beam.ParDo(Slow()) | beam.Map(lambda pair: pair[0])
        )
        both | beam.ParDo(Gather()) | beam.ParDo(Lines(tmp_path / "out"))
    assert lines(tmp_path / "out") == ["['a', 'b']"]


def test_one_that_gathers_may_follow_another(tmp_path):
    with on(LocalRunner(threads=2)) as pipeline:
        first = pipeline | beam.Create([3, 1, 2]) | "First" >> beam.ParDo(Gather())
        first | "Then" >> beam.ParDo(Gather()) | beam.ParDo(Lines(tmp_path / "out"))
    assert lines(tmp_path / "out") == ["[[1, 2, 3]]"]


def test_a_frame_that_was_handed_on_and_is_changed_is_told_with_the_step():
    pipeline = on(LocalRunner(frozen=True))
    frames = pipeline | beam.Create([0]) | beam.Map(lambda _: pl.DataFrame({"x": [1, 2]}))
    frames | "Widen" >> beam.ParDo(Widen())
    with pytest.raises(Exception, match=r"a frame was changed .* Widen"):
        pipeline.run()


def test_a_frame_that_is_kept_and_changed_later_is_told(tmp_path):
    class Keep(beam.DoFn):
        def start_bundle(self):
            self.kept = []

        def process(self, element):
            self.kept.append(element)

        def finish_bundle(self):
            for frame in self.kept:
                frame.drop_in_place("x")

    pipeline = on(LocalRunner(frozen=True))
    frames = pipeline | beam.Create([0]) | beam.Map(lambda _: pl.DataFrame({"x": [1, 2], "y": [1, 2]}))
    frames | "Keep" >> beam.ParDo(Keep())
    with pytest.raises(Exception, match=r"a frame was changed .* Keep$"):
        pipeline.run()


SEEN = beam.DoFn.StateParam(BagStateSpec("seen", beam.coders.VarIntCoder()))


class Stateful(beam.DoFn):
    def process(self, element, state=SEEN):
        yield element


def with_side_input(pipeline):
    other = pipeline | "Other" >> beam.Create([1])
    pipeline | beam.Create([1]) | "Asks" >> beam.Map(lambda x, y: x + y, beam.pvalue.AsSingleton(other))


def with_state(pipeline):
    pipeline | beam.Create([("k", 1)]) | "Asks" >> beam.ParDo(Stateful())


def with_a_splittable_dofn(pipeline):
    pipeline | beam.io.ReadFromText("/nowhere", validate=False)


def unbounded(pipeline):
    made = pipeline | beam.Create([1])
    made.is_bounded = False
    made | "Asks" >> beam.Map(str)


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (with_side_input, "side inputs"),
        (with_state, "state or timers"),
        (with_a_splittable_dofn, "a splittable DoFn"),
        (unbounded, "an unbounded input"),
    ],
)
def test_what_it_cannot_run_is_refused_by_name(build, what):
    pipeline = on(LocalRunner())
    build(pipeline)
    with pytest.raises(UserError, match=rf"--runner: LocalRunner .* {what} \(step .*DirectRunner does"):
        pipeline.run()
