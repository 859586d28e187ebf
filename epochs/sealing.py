"""From a run that adds up to the content of its seal."""

from dataclasses import asdict

from ecompulse.epochs.audit import Graph
from ecompulse.epochs.driver_settings import SNAPSHOT_EVERY
from ecompulse.epochs.manifest import Manifest
from ecompulse.epochs.plan import MOST_LAG, Draft, Plan, Position
from ecompulse.epochs.seal import Seal
from ecompulse.epochs.totals import Totals


def content_of(at: Position, draft: Draft, plan: Plan, manifest: Manifest, graph: Graph, fencing_token: int) -> Seal:
    """What an epoch is, once its run adds up: everything that whoever goes on with it must know."""
    partitions: dict[str, list[int | None]] = {}
    for name, seen in draft.seen.items():
        tops = [top for top in (seen.top, manifest.tops.get(name)) if top is not None]
        partitions[name] = [max(tops, default=None), seen.active]
    watermark, accounts = draft.reached, graph.balance(manifest)
    snapshot = plan.epoch % SNAPSHOT_EVERY == 1
    positions = [
        {**known, **backlog.positions} if snapshot else dict(backlog.positions)
        for known, backlog in zip(at.sources, draft.backlogs, strict=True)
    ]
    return Seal(
        epoch=plan.epoch,
        attempt=plan.attempt,
        fencing_token=fencing_token,
        watermark=watermark,
        now=draft.now,
        ranges=[asdict(split) for split in draft.splits],
        positions=positions,
        snapshot=snapshot,
        partitions=partitions,
        state=manifest.state,
        loaded=manifest.loaded,
        files=manifest.files,
        counts=manifest.counts,
        backlog=sum(backlog.left for backlog in draft.backlogs),
        notes=[dict(backlog.notes) for backlog in draft.backlogs],
        rows=manifest.rows,
        past=[watermark, *at.past][:MOST_LAG],
        drains=0 if draft.drain is None else at.drains + 1,
        ages=manifest.ages,
        told=manifest.told,
        accounts=accounts,
        upserted=[spec.name for spec in graph.tables if spec.warehouse],
        totals=at.totals.plus(Totals(0, manifest.rows, accounts, manifest.written)).dump(),
    )
