"""From the flags of alerts to an outbox."""

from collections.abc import Mapping

from ecompulse.cli.config import read_config
from ecompulse.cli.job import AlertingJob, Job
from ecompulse.cli.settings import Alerting
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.alerts.outbox import Outbox
from ecompulse.io.alerts.routes import Routing, check_rules, named, parse_routes, to_all
from ecompulse.io.alerts.targets import AlertTarget, open_target
from ecompulse.io.terminal import say
from ecompulse.kernels.config import ConfigError


def targets_of(alerting: Alerting) -> Mapping[str, AlertTarget]:
    """The receivers by name; UserError names `--alert`. Nobody is asked."""
    return {name: open_target(url) for name, url in named(alerting.alert).items()}


def routing_of(alerting: Alerting) -> Routing:
    """Who gets what; UserError names `--alert_routes` and the key."""
    names = list(named(alerting.alert))
    if alerting.alert_routes is None:
        return to_all(names)
    return read_config("--alert_routes", alerting.alert_routes, lambda text, _path: parse_routes(text, names))


def check_alerting(alerting: Alerting, job: Job) -> None:
    """UserError, naming the flag, for a receiver or route that cannot be, and for rules that the job does not have."""
    targets_of(alerting)
    routing = routing_of(alerting)
    if isinstance(job, AlertingJob):
        try:
            check_rules(routing, job.alert_rules)
        except ConfigError as error:
            raise UserError(f"--alert_routes: {error}") from None


def outbox_of(alerting: Alerting, store: Store, outputs: Store, backup: Store | None) -> Outbox | None:
    """The outbox of a job; None where nobody is to be told."""
    if not alerting.alert:
        return None
    targets, routing, keep = targets_of(alerting), routing_of(alerting), alerting.alert_keep / 1000
    return Outbox(store, outputs, targets, routing, say, backup, keep)
