"""`SessionizeEvents`: sessions of visitors, and what is derived from their journeys."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from ecompulse.epochs.keyed import Keyed, require_bounded
from ecompulse.kernels.sessions.kernel import Sessionize, prepare
from ecompulse.transforms.frames import map_frames


class SessionizeEvents(beam.PTransform):
    """Groups events of visitors into sessions; see `Sessionize` for what a session is.

    Input: a bounded PCollection of frames with `visitor` and the columns of an event; missing enrichment is null.
    Output: a dict of PCollections of frames: `sessions`, `session_events`, `transition_parts`, `late_events`, and
    the outputs of the kernel's parts. Keyed by visitor; final rows are emitted when the watermark has closed them. In a
    plain bounded pipeline all sessions close at the end of the input.

    >>> import apache_beam as beam
    >>> import ecompulse as eco
    >>> from ecompulse.runners.local import LocalRunner
    >>> view = {"event_type": "page_view", "user_id": "u"}
    >>> rows = [{**view, "event_id": str(number), "event_time": f"2025-03-01T10:0{number}:00Z"} for number in range(3)]
    >>> frame = eco.event_frame(rows).with_columns(visitor="user_id")
    >>> with beam.Pipeline(runner=LocalRunner()) as pipeline:
    ...     found = pipeline | beam.Create([frame]) | eco.SessionizeEvents()
    ...     _ = found["sessions"] | beam.Map(lambda sessions: print(sessions["events"].to_list()))
    [3]
    """

    def __init__(self, kernel: Sessionize | None = None, fixed: Mapping[str, Any] | None = None) -> None:
        """`kernel`: for another gap or length than the default, and for parts such as funnels; `fixed`: see `Keyed`."""
        super().__init__()
        self._fixed = fixed
        self._kernel = kernel or Sessionize()

    def expand(self, events: Any) -> Any:
        """Only the needed columns are shuffled."""
        require_bounded(events, "SessionizeEvents")
        needed = events | "Prepare" >> map_frames(prepare, self._kernel)
        return needed | "Sessionize" >> Keyed(self._kernel, fixed=self._fixed)
