"""What the runner refuses it names, before anything is started."""

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.testing import test_stream
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer

from ecompulse.runners.spark import PySparkRunner, Unsupported
from ecompulse.runners.spark.runner import PySparkRunner as Runner


class Stateful(beam.DoFn):
    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())

    def process(self, element, seen=beam.DoFn.StateParam(SEEN)):  # noqa: B008  # how Beam is told
        seen.write(1)
        yield element


class Timed(beam.DoFn):
    LATER = TimerSpec("later", TimeDomain.WATERMARK)

    def process(self, element, later=beam.DoFn.TimerParam(LATER)):  # noqa: B008  # how Beam is told
        later.set(1)

    @on_timer(LATER)
    def fire(self):
        yield 1


class Ranges(beam.transforms.core.RestrictionProvider):
    def initial_restriction(self, element):
        return OffsetRange(0, 1)

    def create_tracker(self, restriction):
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element, restriction):
        return 1


class Splittable(beam.DoFn):
    def process(self, element, tracker=beam.DoFn.RestrictionParam(Ranges())):  # noqa: B008  # how Beam is told
        yield element


class Finalized(beam.DoFn):
    def process(self, element, finalizer=beam.DoFn.BundleFinalizerParam):
        finalizer.register(print)


def side_input(begin):
    one = begin | "One" >> beam.Create([1])
    return begin | beam.Create([1]) | "Add" >> beam.Map(lambda value, more: value + more, beam.pvalue.AsSingleton(one))


def endless(begin):
    made = begin | beam.Impulse() | "Endless" >> beam.Map(lambda _: 1)
    made.is_bounded = False


REFUSED = {
    "Add: side inputs": side_input,
    "State: user state": lambda begin: begin | beam.Create([(1, 1)]) | "State" >> beam.ParDo(Stateful()),
    "Time: timers": lambda begin: begin | beam.Create([(1, 1)]) | "Time" >> beam.ParDo(Timed()),
    "Split: a splittable DoFn": lambda begin: begin | beam.Create([1]) | "Split" >> beam.ParDo(Splittable()),
    "Final: bundle finalization": lambda begin: begin | beam.Create([1]) | "Final" >> beam.ParDo(Finalized()),
    "PeriodicImpulse.*: a splittable DoFn": lambda begin: begin | PeriodicImpulse(),
    "Endless: an unbounded source": endless,
    "teststream": lambda begin: begin | test_stream.TestStream().advance_watermark_to_infinity(),
}


@pytest.mark.parametrize("named", REFUSED)
def test_it_is_refused_by_name_before_spark_is_started(named, monkeypatch):
    monkeypatch.setattr(Runner, "context", property(lambda _self: pytest.fail("Spark was started")))
    pipeline = beam.Pipeline(runner=PySparkRunner())
    REFUSED[named](pipeline)
    with pytest.raises(Unsupported, match=named):
        pipeline.run()
