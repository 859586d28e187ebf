"""A bad day: a job that is kept running, and all that is to notice what befalls it: page, Prometheus, Alertmanager.

Time is counted in triggers: the number of the last epoch when a sign is seen, against that of the epoch that was the
first to show the cause. While the job commits nothing no trigger passes; then only the patience of minutes ends a wait.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.fixtures import missing
from services.prometheus import asked, start_alertmanager, start_prometheus
from services.server import Server, Unavailable
from support.hurried import hurried_routes, hurried_rules
from support.kept import KeptJob
from support.receivers import Receiver, receiver

TRIGGER: Final = "5s"
PATIENCE: Final = 300.0  # seconds
TRIGGERS: Final = 2

Progress = Mapping[str, Any]


@dataclass
class BadDay:
    """A job under watch.

    Attributes:
        feed: sends some more input; called once for each epoch, while `feeding`.
        hook: what is delivered, by Alertmanager and by the job.
        seen: signs and the epoch at which each was seen, as triggers after its cause.
    """

    job: KeptJob
    feed: Callable[[], None]
    prometheus: Server
    hook: Receiver
    feeding: bool = True
    seen: dict[str, int] = field(default_factory=dict)
    _fed: int = -1

    def turn(self) -> None:
        """What goes on all day: the job is kept running, and events come."""
        self.job.keep()
        epoch = self.job.epoch
        if self.feeding and epoch > self._fed:
            self._fed = epoch
            self.feed()
        time.sleep(0.1)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """What the condition returns, once it is something."""
        deadline = time.monotonic() + PATIENCE
        while not (answer := condition()):
            assert time.monotonic() < deadline, f"{what}: it never happened; {self.job.said[-2000:]}"
            self.turn()
        return answer

    def begin(self) -> None:
        """The day is good: epochs are committed, everybody looks, nothing is wrong."""
        self.until(lambda: self.job.epoch >= 3, "three epochs")
        self.until(lambda: asked(self.prometheus, "ecompulse_epoch >= 3"), "a scrape")
        assert not self.firing()
        assert "What needs a look" not in self.until(lambda: self.job.page("/jobs/0"), "a page")
        assert self.delivered() == []

    def cause(self, shows: Callable[[Progress], Any], after: int) -> int:
        """The number of the first epoch after that one whose progress shows it."""

        def first() -> int | None:
            return next(
                (each["batchId"] for each in self.job.progress if each["batchId"] > after and shows(each)), None
            )

        number: int = self.until(first, "an epoch that shows the cause")
        return number

    def signs(self, since: int, **signs: Callable[[], Any]) -> None:
        """All these are seen, each no later than two triggers after the epoch `since`."""
        left = dict(signs)

        def look() -> bool:
            for name in [name for name, sign in left.items() if sign()]:
                left.pop(name)
                self.seen[name] = self.job.epoch - since
            return not left

        self.until(look, f"of {sorted(signs)}, seen {self.seen}")
        assert all(self.seen[name] <= TRIGGERS for name in signs), self.seen

    def firing(self) -> set[str]:
        """Names of the rules of Prometheus that fire."""
        return {each["metric"]["alertname"] for each in asked(self.prometheus, 'ALERTS{alertstate="firing"}')}

    def delivered(self) -> list[tuple[str, str]]:
        """Name and status of each alert that was delivered, in order."""
        alerts = [alert for body in self.hook.bodies for alert in body["alerts"]]
        return [(alert["labels"]["alertname"], alert["status"]) for alert in alerts]

    def has_fired(self, name: str) -> bool:
        return (name, "firing") in self.delivered()

    def is_resolved(self, name: str) -> bool:
        return (name, "resolved") in self.delivered()

    def end(self, *names: str) -> None:
        """For some triggers more nothing comes: each has fired once and was resolved once, and nothing else did."""
        last = self.job.epoch
        self.until(lambda: self.job.epoch >= last + 3, "three more epochs")
        turns = {(name, status): 1 for name in names for status in ("firing", "resolved")}
        assert Counter(self.delivered()) == turns, self.delivered()
        print(f"{names}: triggers until seen: {self.seen}")  # noqa: T201  # `pytest -s` shows what was measured


@contextmanager
def bad_day(
    root: Path, job: str, flags: tuple[str, ...], feed: Callable[[], None], data: Path | None = None
) -> Iterator[BadDay]:
    """A job that runs with a trigger of TRIGGER, and those who watch it; all of it ends with the context."""
    with ExitStack() as stack:
        hook = stack.enter_context(receiver())
        given = tuple(flag.replace("HOOK", hook.url) for flag in flags)
        kept = KeptJob(root, job, (*given, f"--trigger={TRIGGER}", "--num_shards=2"), data or root / "data")
        stack.callback(kept.stop)
        try:
            manager = start_alertmanager(root / "alertmanager", hook.url, hurried_routes(hook.url))
            stack.callback(manager.stop)
            rules = [hurried_rules(root / "rules")]
            address = manager.facts["url"].removeprefix("http://")
            prometheus = start_prometheus(root / "prometheus", [f"127.0.0.1:{kept.port}"], rules, address)
        except Unavailable as error:
            missing("prometheus or alertmanager", str(error))
        stack.callback(prometheus.stop)
        yield BadDay(kept, feed, prometheus, hook)
