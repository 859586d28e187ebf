"""Run events through slices and the keyed kernel, epoch by epoch, shard by shard, as the job does."""

import polars as pl

from ecompulse.kernels.hashing import shard_of
from ecompulse.kernels.metrics.kernel import CombineSlices
from ecompulse.kernels.metrics.slices import late_rows, to_slices
from ecompulse.kernels.step import END_OF_TIME, Clock
from support.harness import MemoryState, watermarks


class Shards:
    """A keyed kernel with its state, in memory."""

    def __init__(self, kernel, num_shards=1) -> None:
        tables = {table.name: table for table in kernel.tables}
        self.kernel = kernel
        self.states = [MemoryState(tables) for _ in range(num_shards)]

    def step(self, batch, clock):
        """Outputs of all shards, by name."""
        shards = shard_of(self.kernel.key(batch), len(self.states))
        found = {name: [pl.DataFrame(schema=schema)] for name, schema in self.kernel.outputs.items()}
        for number, state in enumerate(self.states):
            if clock.watermark < END_OF_TIME:
                state.watermark = clock.watermark
            rows = batch.filter(shards == number).select(self.kernel.inputs.names())
            due = state.next_due()
            if rows.is_empty() and (due is None or due > clock.watermark):
                continue
            step = self.kernel.step(state, rows, clock)
            for name, frame in step.outputs.items():
                assert frame.schema == self.kernel.outputs[name], f"{name}: {frame.schema}"
                found[name].append(frame)
            for name, change in step.changes.items():
                state.apply(name, change)
        return {name: pl.concat(frames) for name, frames in found.items()}


def run_metrics(plan, epochs, *, num_shards=1, drain=True, bundles=1):
    """Metrics and late events of epochs of (events, watermark); each epoch's events come in some bundles."""
    shards = Shards(CombineSlices.of(plan), num_shards)
    metrics, late = [], []
    steps = [*epochs, (epochs[0][0].clear(), END_OF_TIME)] if drain else epochs
    for epoch, (events, watermark) in enumerate(steps, start=1):
        clock = Clock(epoch, watermark, 4_102_444_800_000)
        late.append(late_rows(events, clock, plan))
        parts = [to_slices(events[n::bundles], plan) for n in range(bundles)]
        metrics.append(shards.step(pl.concat(parts), clock)["metrics"])
    return pl.concat(metrics), pl.concat(late)


def cut(arrivals, cuts, delay):
    """Epochs (events, watermark) of a stream."""
    return watermarks(arrivals, cuts, delay)


def one_step(plan, events):
    """Metrics of events in one epoch, drained."""
    return run_metrics(plan, [(events, -1)])[0]


def latest(metrics):
    """Latest final row of each id."""
    return metrics.filter(pl.col("final")).sort("revision").unique("id", keep="last")


def by_window(metrics):
    """(metric, window, start, end, dimensions, currency) -> row, of the latest final rows."""
    found = {
        (r["metric"], r["window_size"], ms(r["window_start"]), ms(r["window_end"]), r["dimensions"], r["currency"]): r
        for r in latest(metrics).to_dicts()
    }
    assert len(found) == latest(metrics).height
    return found


def ms(moment):
    """A time as UTC ms."""
    return round(moment.timestamp() * 1000)


def plain(events):
    """Events as dicts, with `at` in ms."""
    return events.with_columns(at=pl.col("event_time").dt.epoch("ms")).to_dicts()
