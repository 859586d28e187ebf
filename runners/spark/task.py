"""What a Spark task does: one stage over one partition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ecompulse.runners.spark.beam_internals import ENCODED_IMPULSE_VALUE
from ecompulse.runners.spark.bundles import Bundles, bundles_of
from ecompulse.runners.spark.routing import split_by_task
from ecompulse.runners.spark.stamps import Recomputed, Stamped, Verify, new_stamp, sums_of
from ecompulse.runners.spark.translation import Input, Stage
from ecompulse.runners.spark.warmth import keep_warm


class Record(NamedTuple):
    """What one task hands to one task of the stages after it, or to the driver.

    Attributes:
        made_by: the task attempt.
        blobs: encoded elements by buffer.
        metrics: of the user, as MonitoringInfos, by (stage, part); of all that came before, on the way to the driver.
        void: why the run is void; None when it is not. Tasks after it do nothing but pass that on.
    """

    made_by: Stamped
    blobs: Mapping[bytes, bytes]
    metrics: Mapping[tuple[int, int], Sequence[bytes]]
    void: str | None = None


@dataclass(frozen=True)
class StageTask:
    """One stage over one partition; picklable.

    Attributes:
        shared: Spark's broadcast of the pipeline.
        number: of the stage.
        parallelism: tasks of each stage after it.
        tasks: number of tasks of each stage that it reads from.
        verify: see `stamps.sums_of`.
    """

    shared: Any
    number: int
    parallelism: int
    tasks: Mapping[int, int]
    verify: Verify = sums_of

    def __call__(self, part: int, records: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
        """A record for every task of the stages after it; of a stage with none after it one, for the driver.

        Everything is read, checked and run before the first record is handed on.
        """
        given = [record for _, record in records]
        bundles = bundles_of(self.shared.value)
        stage = self.shared.value.stages[self.number]
        metrics = {key: infos for record in given for key, infos in record.metrics.items()}
        try:
            sums = check(given, self.tasks, self.verify)
        except Recomputed as error:
            made, parts = Stamped(self.number, part, new_stamp(), {}), dict[int, dict[bytes, bytes]]()
            void: str | None = str(error)
        else:
            made, void = Stamped(self.number, part, new_stamp(), sums), None
            parts, metrics[self.number, part] = self._work(bundles, stage, part, given)
        for target in range(self.parallelism if stage.outputs else 1):
            # Metrics go one way only, lest they multiply.
            yield target, Record(made, parts.get(target, {}), {} if target else metrics, void)

    def _work(
        self, bundles: Bundles, stage: Stage, part: int, given: Sequence[Record]
    ) -> tuple[dict[int, dict[bytes, bytes]], Sequence[bytes]]:
        """Blobs by target and buffer, and the user's metrics."""
        data = {one.transform: taken(bundles, one, part, given) for one in stage.inputs}
        parts: dict[int, dict[bytes, bytes]] = {}
        if not any(data.values()):
            return parts, ()
        first = not bundles.ran(stage.number)
        found, metrics = bundles.run(stage, data)
        for output in stage.outputs:
            elements = found.get(output.transform, b"")
            if output.keyed_by is None:
                by_task = {part: elements}
            else:
                by_task = split_by_task(elements, bundles.coder(output.keyed_by), self.parallelism)
            for target, blob in by_task.items():
                there = parts.setdefault(target, {})  # a Flatten has several outputs write into one buffer
                there[output.buffer] = there.get(output.buffer, b"") + blob
        keep_warm(first=first)
        return parts, metrics


def check(given: Sequence[Record], tasks: Mapping[int, int], verify: Verify = sums_of) -> dict[int, int]:
    """The sums of stamps that records come from; Recomputed when they do not fit, or one says that the run is void."""
    for record in given:
        if record.void:
            raise Recomputed(record.void)
    return verify([record.made_by for record in given], tasks)


def taken(bundles: Bundles, one: Input, part: int, given: Sequence[Record]) -> bytes:
    """The encoded elements of an input."""
    if one.impulse:
        return bytes(ENCODED_IMPULSE_VALUE) if part == 0 else b""
    blobs = [blob for record in given if (blob := record.blobs.get(one.buffer))]
    return bundles.group(one.grouping, blobs) if one.grouping else b"".join(blobs)
